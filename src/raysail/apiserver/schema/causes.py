"""The faults a field can have, in Kubernetes' words; they live in `api`, where admission needs them too."""

from raysail.api.causes import (
    BLOCKING_REASONS,
    ROOT,
    duplicate,
    forbidden,
    invalid,
    invalid_without_value,
    not_found,
    not_supported,
    required,
    too_long,
    too_many,
    type_invalid,
)

__all__ = [
    "BLOCKING_REASONS",
    "ROOT",
    "duplicate",
    "forbidden",
    "invalid",
    "invalid_without_value",
    "not_found",
    "not_supported",
    "required",
    "too_long",
    "too_many",
    "type_invalid",
]

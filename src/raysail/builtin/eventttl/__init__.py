"""Events that are old enough to be forgotten."""

from raysail.builtin.eventttl.controller import register

__all__ = ["register"]

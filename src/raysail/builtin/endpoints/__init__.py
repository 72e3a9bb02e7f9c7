"""Which addresses stand behind a Service."""

from raysail.builtin.endpoints.controller import register

__all__ = ["register"]

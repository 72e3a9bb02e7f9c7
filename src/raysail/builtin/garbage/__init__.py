"""Deleting what nobody owns any more."""

from raysail.builtin.garbage.controller import register

__all__ = ["register"]

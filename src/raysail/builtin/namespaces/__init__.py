"""Emptying namespaces that are being deleted."""

from raysail.builtin.namespaces.controller import register

__all__ = ["register"]

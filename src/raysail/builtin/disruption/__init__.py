"""PodDisruptionBudgets: how many of their Pods may be evicted now."""

from raysail.builtin.disruption.controller import register

__all__ = ["register"]

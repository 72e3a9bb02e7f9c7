"""StatefulSets: Pods with names and volumes of their own, started and stopped in order."""

from raysail.builtin.statefulsets.controller import register

__all__ = ["register"]

"""ReplicaSets: a number of equal Pods."""

from raysail.builtin.replicasets.controller import register

__all__ = ["register"]

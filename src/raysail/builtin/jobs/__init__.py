"""batch Jobs: Pods that run to completion."""

from raysail.builtin.jobs.controller import register

__all__ = ["register"]

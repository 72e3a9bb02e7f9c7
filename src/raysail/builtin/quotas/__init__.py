"""ResourceQuotas: what a namespace uses of what it may."""

from raysail.builtin.quotas.controller import register

__all__ = ["register"]

"""The rules of Kubernetes' own kinds: which fields they have, what is filled in, what is refused, what an update may change."""

from raysail.apiserver.kinds.table import strategy_of

__all__ = ["strategy_of"]

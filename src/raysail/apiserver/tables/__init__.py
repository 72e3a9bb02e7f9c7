"""How built-in kinds are printed by `kubectl get`: the server's side of it (columns and cells of a Table)."""

from raysail.apiserver.tables.columns import PLAIN, Columns
from raysail.apiserver.tables.kinds import columns_of

__all__ = ["PLAIN", "Columns", "columns_of"]

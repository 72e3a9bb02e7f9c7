"""Server-side apply and the bookkeeping of field owners (`metadata.managedFields`). All pure.

`FieldManager` is the entry: `apply` for apply patches, `track` for every other write.
"""

from raysail.apiserver.apply.field_manager import FieldManager, Versions
from raysail.apiserver.apply.managers import name_from_user_agent, settle_times
from raysail.apiserver.apply.reset import reset_fields
from raysail.apiserver.apply.scale import field_path, from_scale, to_scale

__all__ = ["FieldManager", "Versions", "field_path", "from_scale", "name_from_user_agent", "reset_fields", "settle_times", "to_scale"]

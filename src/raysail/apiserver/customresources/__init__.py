"""Custom resources: from CustomResourceDefinition objects to what the API serves.

- `DefinitionStrategy`: the kind CustomResourceDefinition itself (validation, defaults, `status.storedVersions`).
- `accepted_status`, `terminating_status`, `is_established`, `CLEANUP_FINALIZER`: a CRD's life. The API writes `accepted_status(crd, others, now)` into
  the status after each write of a CRD (and of those in its group, when names come free), serves it once established, and on deletion adds the
  finalizer, deletes the objects, then lets the CRD go.
- `outline(data)`: a stored CRD without its schemas; `definitions(crd)`: the `Definition`s of its served versions, lazily compiled. Their strategy is a `CustomStrategy`, whose `scale` says where replicas are.
"""

from raysail.apiserver.customresources.acceptance import (
    CLEANUP_FINALIZER,
    accepted_status,
    is_established,
    stored_versions,
    terminating_status,
)
from raysail.apiserver.customresources.columns import CustomColumns
from raysail.apiserver.customresources.definition_strategy import DefinitionStrategy
from raysail.apiserver.customresources.definitions import definitions
from raysail.apiserver.customresources.outline import outline
from raysail.apiserver.customresources.scale import ScalePaths
from raysail.apiserver.customresources.strategy import CustomStrategy

__all__ = [
    "CLEANUP_FINALIZER",
    "CustomColumns",
    "CustomStrategy",
    "DefinitionStrategy",
    "ScalePaths",
    "accepted_status",
    "definitions",
    "is_established",
    "outline",
    "stored_versions",
    "terminating_status",
]

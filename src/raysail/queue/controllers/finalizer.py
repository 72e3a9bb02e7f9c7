"""The finalizer resource-in-use: what others refer to stays until they do not any more."""

from __future__ import annotations

from raysail.api.meta import Object
from raysail.queue.writes import StatusWriter

FINALIZER = "kueue.x-k8s.io/resource-in-use"


async def hold(writer: StatusWriter, obj: Object) -> bool:
    """Adds the finalizer; True if it was missing."""
    present = obj.metadata.finalizers or []
    if FINALIZER in present:
        return False
    await writer.patch(obj, {"metadata": {"finalizers": [*present, FINALIZER]}})
    return True


async def release(writer: StatusWriter, obj: Object) -> bool:
    """Takes the finalizer away; True if it was there."""
    present = obj.metadata.finalizers or []
    if FINALIZER not in present:
        return False
    await writer.patch(obj, {"metadata": {"finalizers": [each for each in present if each != FINALIZER] or None}})
    return True

"""Which volume a claim gets, in wire form. A folder per claim, named by the claim's UID, as the local-path provisioner does it on small clusters."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from raysail.api.core import PersistentVolume, PersistentVolumeClaim
from raysail.api.quantity import parse
from raysail.api.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES
from raysail.api.selectors import from_object

PROVISIONER: Final = "raysail.io/local-path"
PROVISIONED_BY: Final = "pv.kubernetes.io/provisioned-by"
BIND_COMPLETED: Final = "pv.kubernetes.io/bind-completed"
BOUND_BY_CONTROLLER: Final = "pv.kubernetes.io/bound-by-controller"
CLAIM_PROTECTION: Final = "kubernetes.io/pvc-protection"
VOLUME_PROTECTION: Final = "kubernetes.io/pv-protection"

JsonObject = dict[str, Any]


def volume_name(claim: PersistentVolumeClaim) -> str:
    """The volume's name, chosen by the claim."""
    return f"pvc-{claim.metadata.uid}"


def build_volume(claim: PersistentVolumeClaim, folder: Path, reclaim_policy: str) -> JsonObject:
    """The volume for a claim."""
    meta = claim.metadata
    return {
        "apiVersion": PERSISTENT_VOLUMES.api_version,
        "kind": PERSISTENT_VOLUMES.kind,
        "metadata": {"name": volume_name(claim), "annotations": {PROVISIONED_BY: PROVISIONER}},
        "spec": {
            "capacity": {"storage": (claim.spec.resources.requests or {}).get("storage", "0")},
            "accessModes": list(claim.spec.access_modes or ()),
            "persistentVolumeReclaimPolicy": reclaim_policy,
            "storageClassName": claim.spec.storage_class_name or "",
            "volumeMode": claim.spec.volume_mode or "Filesystem",
            "hostPath": {"path": str(folder / volume_name(claim)), "type": "DirectoryOrCreate"},
            "claimRef": {
                "apiVersion": PERSISTENT_VOLUME_CLAIMS.api_version,
                "kind": PERSISTENT_VOLUME_CLAIMS.kind,
                "namespace": meta.namespace,
                "name": meta.name,
                "uid": meta.uid,
            },
        },
    }


def existing_volume(claim: PersistentVolumeClaim, volumes: Iterable[PersistentVolume]) -> PersistentVolume | None:
    """The volume that somebody made and that fits: the one named or reserved for the claim, else the smallest that is large enough."""
    fitting = []
    for volume in volumes:
        spec, held = volume.spec, volume.spec.claim_ref
        ours = held is not None and (held.namespace, held.name) == claim.metadata.key and held.uid in ("", claim.metadata.uid)
        if ours:
            return volume
        if claim.spec.volume_name:
            if volume.metadata.name == claim.spec.volume_name and held is None:
                return volume
            continue
        if (
            held is None
            and volume.status.phase in ("", "Available")
            and (spec.storage_class_name or "") == (claim.spec.storage_class_name or "")
        ):
            enough = _storage(spec.capacity) >= _storage(claim.spec.resources.requests)
            modes = set(claim.spec.access_modes or ()) <= set(spec.access_modes or ())
            selected = claim.spec.selector is None or from_object(claim.spec.selector).matches(volume.metadata.labels)
            if enough and modes and selected:
                fitting.append(volume)
    return min(fitting, key=lambda v: (_storage(v.spec.capacity), v.metadata.name), default=None)


def _storage(listed: dict[str, Any] | None) -> int:
    return parse((listed or {}).get("storage", 0))

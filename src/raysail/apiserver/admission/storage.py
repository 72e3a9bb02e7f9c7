"""Volumes and Nodes at their creation: the default StorageClass, protection of claims in use, the taint of a Node that is not yet ready.

plugin/pkg/admission/{storage/storageclass/setdefault,storage/storageobjectinuseprotection,nodetaint}.
"""

from __future__ import annotations

from typing import Final

from raysail.apiserver.admission.chain import OfKinds, Operation
from raysail.apiserver.store import Store

_DEFAULT: Final = "storageclass.kubernetes.io/is-default-class"
_BETA_CLASS: Final = "volume.beta.kubernetes.io/storage-class"
_PROTECTION: Final = {"PersistentVolumeClaim": "kubernetes.io/pvc-protection", "PersistentVolume": "kubernetes.io/pv-protection"}
_NOT_READY: Final = {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}


class DefaultStorageClass(OfKinds):
    """A claim that names no class gets the default one."""

    kinds = frozenset({("", "PersistentVolumeClaim")})

    def __init__(self, store: Store) -> None:
        self._store = store

    def admit(self, operation: Operation) -> None:
        """Fills in `spec.storageClassName`; of several defaults the newest."""
        if not operation.concerns("", "PersistentVolumeClaim") or operation.object is None or operation.verb != "create":
            return
        spec = operation.object.setdefault("spec", {})
        if spec.get("storageClassName") is not None or _BETA_CLASS in (operation.object["metadata"].get("annotations") or {}):
            return
        found = [
            (obj["metadata"]["creationTimestamp"], obj["metadata"]["name"])
            for record in self._store.latest_scan("storageclasses.storage.k8s.io")
            if ((obj := record.object())["metadata"].get("annotations") or {}).get(_DEFAULT) == "true"
        ]
        if found:
            newest = max(time for time, _ in found)
            spec["storageClassName"] = min(name for time, name in found if time == newest)

    def validate(self, operation: Operation) -> None:
        """Nothing more."""


class ProtectionOfUsedVolumes(OfKinds):
    """A finalizer keeps claims and volumes while Pods use them."""

    kinds = frozenset({*(("", kind) for kind in _PROTECTION)})

    def admit(self, operation: Operation) -> None:
        """Adds the finalizer."""
        kind = operation.definition.resource.kind
        if operation.verb != "create" or operation.object is None or kind not in _PROTECTION or not operation.concerns("", kind):
            return
        finalizers = operation.object["metadata"].get("finalizers") or []
        if _PROTECTION[kind] not in finalizers:
            operation.object["metadata"]["finalizers"] = [*finalizers, _PROTECTION[kind]]

    def validate(self, operation: Operation) -> None:
        """Nothing more."""


class NodeTaint(OfKinds):
    """A new Node takes no Pods until its agent says that it is ready."""

    kinds = frozenset({("", "Node")})

    def admit(self, operation: Operation) -> None:
        """Adds the taint."""
        if operation.verb == "create" and operation.concerns("", "Node") and operation.object is not None:
            spec = operation.object.setdefault("spec", {})
            taints = spec.get("taints") or []
            if not any(taint.get("key") == _NOT_READY["key"] and taint.get("effect") == _NOT_READY["effect"] for taint in taints):
                spec["taints"] = [*taints, dict(_NOT_READY)]

    def validate(self, operation: Operation) -> None:
        """Nothing more."""

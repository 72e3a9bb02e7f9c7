"""What every Pod is given: tolerations of a Node's short absence, its service account, its runtime class' overhead.

plugin/pkg/admission/{defaulttolerationseconds,serviceaccount,runtimeclass}.
"""

from __future__ import annotations

from typing import Any, Final

from raysail.apiserver.admission.chain import OfKinds, Operation
from raysail.apiserver.admission.refusal import forbidden
from raysail.apiserver.rest.names import name_suffix
from raysail.apiserver.store import Store

_ABSENCES: Final = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
_TOLERATED_SECONDS: Final = 300
TOKEN_PATH: Final = "/var/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a path
_TOKEN_SECONDS: Final = 3607


class DefaultTolerations(OfKinds):
    """Not-ready and unreachable Nodes are put up with for five minutes."""

    kinds = frozenset({("", "Pod")})

    def admit(self, operation: Operation) -> None:
        """Adds the tolerations that the Pod does not have."""
        if not operation.concerns("", "Pod") or operation.object is None or operation.verb not in ("create", "update"):
            return
        spec = operation.object.setdefault("spec", {})
        tolerations = spec.get("tolerations") or []
        missing = [
            key
            for key in _ABSENCES
            if not any(t.get("key", "") in (key, "") and t.get("effect", "") in ("NoExecute", "") for t in tolerations)
        ]
        if missing:
            added = [{"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": _TOLERATED_SECONDS} for key in missing]
            spec["tolerations"] = [*tolerations, *added]

    def validate(self, operation: Operation) -> None:
        """Nothing more."""


class ServiceAccounts(OfKinds):
    """Pods run as a service account and find its token in a volume.

    The account `default` may come a moment after its namespace (a controller makes it), so it is not looked for.
    """

    kinds = frozenset({("", "Pod")})

    def __init__(self, store: Store) -> None:
        self._store = store

    def admit(self, operation: Operation) -> None:
        """Names the account and mounts its token. Raises StatusError (403) for an account that is not there."""
        if not operation.concerns("", "Pod") or operation.object is None or operation.verb != "create":
            return
        pod = operation.object
        spec = pod.setdefault("spec", {})
        if "kubernetes.io/config.mirror" in (pod["metadata"].get("annotations") or {}):
            return
        name = spec.get("serviceAccountName") or "default"
        spec["serviceAccountName"] = spec["serviceAccount"] = name
        record = self._store.latest("serviceaccounts", f"{operation.namespace}/{name}")
        account = record.object() if record else {}
        if record is None and name != "default":
            raise forbidden(operation, f'error looking up service account {operation.namespace}/{name}: serviceaccount "{name}" not found')
        automount = spec.get("automountServiceAccountToken")
        if automount is None:
            automount = account.get("automountServiceAccountToken", True)
        if automount:
            _mount_token(spec)
        if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
            spec["imagePullSecrets"] = account["imagePullSecrets"]

    def validate(self, operation: Operation) -> None:
        """Nothing more."""


def _mount_token(spec: dict[str, Any]) -> None:
    volumes = spec.get("volumes") or []
    present = next((v["name"] for v in volumes if str(v.get("name", "")).startswith("kube-api-access-")), "")
    name = present or "kube-api-access-" + name_suffix()
    used = False
    for key in ("initContainers", "containers"):
        for container in spec.get(key) or ():
            mounts = container.get("volumeMounts") or []
            if not any(mount.get("mountPath") == TOKEN_PATH for mount in mounts):
                container["volumeMounts"] = [*mounts, {"name": name, "readOnly": True, "mountPath": TOKEN_PATH}]
                used = True
    if used and not present:
        sources = [
            {"serviceAccountToken": {"expirationSeconds": _TOKEN_SECONDS, "path": "token"}},
            {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
        ]
        spec["volumes"] = [*volumes, {"name": name, "projected": {"sources": sources, "defaultMode": 420}}]


class RuntimeClasses(OfKinds):
    """A runtime class adds its overhead and where it can run."""

    kinds = frozenset({("", "Pod")})

    def __init__(self, store: Store) -> None:
        self._store = store

    def admit(self, operation: Operation) -> None:
        """Raises StatusError (403) for a class that is not there or does not fit."""
        if not operation.concerns("", "Pod") or operation.object is None or operation.verb != "create":
            return
        spec = operation.object.setdefault("spec", {})
        name = spec.get("runtimeClassName")
        if name is None:
            if spec.get("overhead"):
                raise forbidden(operation, "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead")
            return
        record = self._store.latest("runtimeclasses.node.k8s.io", name)
        if record is None:
            raise forbidden(operation, f'pod rejected: RuntimeClass "{name}" not found')
        found = record.object()
        overhead = (found.get("overhead") or {}).get("podFixed")
        if overhead:
            if spec.get("overhead") and spec["overhead"] != overhead:
                raise forbidden(operation, "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead")
            spec["overhead"] = overhead
        scheduling = found.get("scheduling") or {}
        for key, value in (scheduling.get("nodeSelector") or {}).items():
            selector = spec.setdefault("nodeSelector", {})
            if selector.setdefault(key, value) != value:
                text = f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; pod.spec.nodeSelector[{key}] = {selector[key]}"
                raise forbidden(operation, text)
        added = [t for t in scheduling.get("tolerations") or () if t not in (spec.get("tolerations") or ())]
        if added:
            spec["tolerations"] = [*(spec.get("tolerations") or ()), *added]

    def validate(self, operation: Operation) -> None:
        """Nothing more."""

"""Priority: a Pod's priority comes from its class (plugin/pkg/admission/priority)."""

from __future__ import annotations

from typing import Any

from raysail.apiserver.admission.chain import OfKinds, Operation
from raysail.apiserver.admission.refusal import forbidden
from raysail.apiserver.store import Store

_COLLECTION = "priorityclasses.scheduling.k8s.io"


class Priority(OfKinds):
    """Reads PriorityClasses from the store."""

    kinds = frozenset({("", "Pod"), ("scheduling.k8s.io", "PriorityClass")})

    def __init__(self, store: Store) -> None:
        self._store = store

    def admit(self, operation: Operation) -> None:
        """Fills in `spec.priority` and `spec.preemptionPolicy`. Raises StatusError (403)."""
        if not operation.concerns("", "Pod") or operation.object is None:
            return
        spec = operation.object.setdefault("spec", {})
        if operation.verb == "update":
            old = (operation.old or {}).get("spec") or {}
            for key in ("priority", "preemptionPolicy"):
                if spec.get(key) is None and key in old:
                    spec[key] = old[key]
        elif operation.verb == "create":
            self._resolve(operation, spec)

    def _resolve(self, operation: Operation, spec: dict[str, Any]) -> None:
        name = spec.get("priorityClassName") or ""
        if name:
            record = self._store.latest(_COLLECTION, name)
            if record is None:
                raise forbidden(operation, f"no PriorityClass with name {name} was found")
            chosen: dict[str, Any] | None = record.object()
        else:
            chosen = self._default()
            if chosen is not None:
                spec["priorityClassName"] = chosen["metadata"]["name"]
        priority = chosen.get("value", 0) if chosen else 0
        if spec.get("priority") is not None and spec["priority"] != priority:
            text = f"the integer value of priority ({spec['priority']}) must not be provided in pod spec; priority admission controller computed {priority} from the given PriorityClass name"
            raise forbidden(operation, text)
        spec["priority"] = priority
        policy = (chosen or {}).get("preemptionPolicy") or "PreemptLowerPriority"
        if spec.get("preemptionPolicy") and spec["preemptionPolicy"] != policy:
            text = f"the string value of PreemptionPolicy ({spec['preemptionPolicy']}) must not be provided in pod spec; priority admission controller computed {policy} from the given PriorityClass name"
            raise forbidden(operation, text)
        spec["preemptionPolicy"] = policy

    def _default(self) -> dict[str, Any] | None:
        """The global default: of several, the one with the lowest value."""
        found = [obj for record in self._store.latest_scan(_COLLECTION) if (obj := record.object()).get("globalDefault")]
        return min(found, key=lambda obj: obj.get("value", 0), default=None)

    def validate(self, operation: Operation) -> None:
        """Only one class may be the default. Raises StatusError (403)."""
        if not operation.concerns("scheduling.k8s.io", "PriorityClass") or operation.object is None:
            return
        if operation.object.get("globalDefault"):
            present = self._default()
            if present is not None and (operation.verb == "create" or present["metadata"]["name"] != operation.name):
                raise forbidden(
                    operation, f"PriorityClass {present['metadata']['name']} is already marked as default. Only one default can exist"
                )

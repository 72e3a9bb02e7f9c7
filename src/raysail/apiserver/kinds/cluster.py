"""Namespace, Node, Lease, RuntimeClass, HorizontalPodAutoscaler: what the cluster itself is made of and runs on.

pkg/apis/{core,coordination,node,autoscaling}/validation, pkg/registry/core/{namespace,node}/strategy.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from raysail.api.causes import duplicate, forbidden, invalid, not_supported, required
from raysail.api.names import label_value_faults
from raysail.api.quantity import NANO, parse_nano
from raysail.apiserver.kinds.fields import (
    NEGATIVE,
    NOT_INTEGER,
    Faults,
    JsonMap,
    check_cidr,
    check_immutable,
    check_label,
    check_labels,
    check_nonnegative,
    check_positive,
    check_qualified_name,
)
from raysail.apiserver.kinds.pods.placement import check_tolerations
from raysail.apiserver.kinds.pods.resources import check_requirements, is_extended
from raysail.apiserver.kinds.rules import Rules
from raysail.apiserver.rest.names import segment_faults
from raysail.apiserver.strategy import JsonObject, Request

_KUBERNETES: Final = "kubernetes"
_STANDARD_FINALIZERS: Final = (_KUBERNETES, "orphan", "foregroundDeletion")
_NAME_LABEL: Final = "kubernetes.io/metadata.name"
_EFFECTS: Final = ("NoSchedule", "PreferNoSchedule", "NoExecute")


# Namespace.


def _create_namespace(obj: JsonObject, request: Request) -> None:
    obj["status"] = {"phase": "Active"}
    finalizers = obj.setdefault("spec", {}).get("finalizers") or []
    if _KUBERNETES not in finalizers:
        obj["spec"]["finalizers"] = [*finalizers, _KUBERNETES]
    _name_label(obj)


def _name_label(obj: JsonObject) -> None:
    metadata = obj["metadata"]
    if metadata.get("name"):
        metadata["labels"] = {**(metadata.get("labels") or {}), _NAME_LABEL: metadata["name"]}


def _update_namespace(obj: JsonObject, old: Mapping[str, Any], request: Request) -> None:
    spec = obj.setdefault("spec", {})
    spec.pop("finalizers", None)
    if (old.get("spec") or {}).get("finalizers"):
        spec["finalizers"] = list(old["spec"]["finalizers"])
    _name_label(obj)


def _check_namespace(obj: JsonMap, faults: Faults) -> None:
    for name in (obj.get("spec") or {}).get("finalizers") or ():
        check_qualified_name(name, "spec.finalizers", faults)
        if "/" not in name and name not in _STANDARD_FINALIZERS:
            faults.append(invalid("spec.finalizers", name, "name is neither a standard finalizer name nor is it fully qualified"))


def _check_namespace_status(obj: JsonMap, old: JsonMap, faults: Faults) -> None:
    phase = (obj.get("status") or {}).get("phase", "")
    if not obj["metadata"].get("deletionTimestamp"):
        if phase != "Active":
            faults.append(invalid("status.Phase", phase, "may only be 'Active' if `deletionTimestamp` is empty"))
    elif phase != "Terminating":
        faults.append(invalid("status.Phase", phase, "may only be 'Terminating' if `deletionTimestamp` is not empty"))


# Node.


def _check_taints(taints: list[Any], at: str, faults: Faults) -> None:
    seen: set[tuple[str, str]] = set()
    for index, taint in enumerate(taints):
        here, key, value, effect = f"{at}[{index}]", taint.get("key", ""), taint.get("value", ""), taint.get("effect", "")
        check_qualified_name(key, f"{here}.key", faults)
        if texts := label_value_faults(value):
            faults.append(invalid(f"{here}.value", value, ";".join(texts)))
        if not effect:
            faults.append(required(f"{here}.effect"))
        elif effect not in _EFFECTS:
            faults.append(not_supported(f"{here}.effect", effect, _EFFECTS))
        if (key, effect) in seen:
            fault = duplicate(here, taint)
            faults.append(type(fault)(fault.reason, f"{fault.message}: taints must be unique by key and effect pair", fault.field))
        seen.add((key, effect))


def _check_node_resources(obj: JsonMap, faults: Faults) -> None:
    status = obj.get("status") or {}
    for part in ("capacity", "allocatable"):
        for name, amount in (status.get(part) or {}).items():
            at, nano = f"status.{part}.{name}", parse_nano(amount)
            if nano < 0:
                faults.append(invalid(at, amount, NEGATIVE))
            if nano % NANO and is_extended(name):
                faults.append(invalid(at, amount, NOT_INTEGER))


def _check_node(obj: JsonMap, faults: Faults) -> None:
    spec = obj.get("spec") or {}
    _check_taints(spec.get("taints") or [], "metadata.taints", faults)
    _check_node_resources(obj, faults)
    ranges = spec.get("podCIDRs") or []
    well_formed = [check_cidr(value, f"spec.podCIDRs[{index}]", faults) for index, value in enumerate(ranges)]
    if len(ranges) > 1 and all(well_formed) and (len(ranges) > 2 or len({":" in value for value in ranges}) != len(ranges)):
        faults.append(invalid("spec.podCIDRs", ranges, "may specify no more than one CIDR for each IP family"))


def _check_node_update(obj: JsonMap, old: JsonMap, faults: Faults) -> None:
    _check_node_resources(obj, faults)
    spec, was, status = obj.get("spec") or {}, old.get("spec") or {}, obj.get("status") or {}
    seen: list[Any] = []
    for index, address in enumerate(status.get("addresses") or ()):
        if address in seen:
            faults.append(duplicate(f"status.addresses[{index}]", address))
        seen.append(address)
    if was.get("podCIDRs") and was["podCIDRs"] != spec.get("podCIDRs"):
        faults.append(forbidden("spec.podCIDRs", 'node updates may not change podCIDR except from "" to valid'))
    if was.get("providerID") and was["providerID"] != spec.get("providerID"):
        faults.append(forbidden("spec.providerID", 'node updates may not change providerID except from "" to valid'))
    _check_taints(spec.get("taints") or [], "metadata.taints", faults)
    if spec.get("externalID") != was.get("externalID"):
        faults.append(forbidden("spec.externalID", "may not be updated"))


def _node_warnings(obj: JsonMap) -> list[str]:
    spec = obj.get("spec") or {}
    found = []
    if spec.get("configSource") is not None:
        found.append("spec.configSource: the feature is removed, this field has no effect")
    if spec.get("externalID"):
        found.append("spec.externalID: this field is deprecated, and is unused by Kubernetes")
    return found


# Lease.


def _check_lease(obj: JsonMap, faults: Faults) -> None:
    spec = obj.get("spec") or {}
    check_positive(spec.get("leaseDurationSeconds"), "spec.leaseDurationSeconds", faults)
    check_nonnegative(spec.get("leaseTransitions"), "spec.leaseTransitions", faults)


def _lease_without_election(obj: JsonObject, request: Request) -> None:
    # Coordinated leader election is off, as it is by default: its fields do not exist.
    for name in ("strategy", "preferredHolder"):
        (obj.get("spec") or {}).pop(name, None)


def _update_lease(obj: JsonObject, old: Mapping[str, Any], request: Request) -> None:
    _lease_without_election(obj, request)


# RuntimeClass.


def _check_runtime_class(obj: JsonMap, faults: Faults) -> None:
    if not obj.get("handler"):
        faults.append(required("handler"))
    else:
        check_label(obj["handler"], "handler", faults)
    if (obj.get("overhead") or {}).get("podFixed"):
        check_requirements({"limits": obj["overhead"]["podFixed"]}, frozenset(), "overhead", faults)
    scheduling = obj.get("scheduling") or {}
    check_labels(scheduling.get("nodeSelector"), "scheduling.nodeSelector", faults)
    tolerations = scheduling.get("tolerations") or []
    check_tolerations(tolerations, "scheduling.tolerations", faults)
    seen = []
    for index, toleration in enumerate(tolerations):
        key = [toleration.get(name, "") for name in ("key", "operator", "value", "effect")]
        if key in seen:
            faults.append(duplicate(f"scheduling.tolerations[{index}]", toleration))
        seen.append(key)


def _check_runtime_class_update(obj: JsonMap, old: JsonMap, faults: Faults) -> None:
    check_immutable(obj.get("handler"), old.get("handler"), "handler", faults)


# HorizontalPodAutoscaler.


def _check_autoscaler(obj: JsonMap, faults: Faults) -> None:
    spec = obj.get("spec") or {}
    least, most = spec.get("minReplicas"), spec.get("maxReplicas", 0)
    if least is not None and least < 1:
        faults.append(invalid("spec.minReplicas", least, "must be greater than or equal to 1"))
    if not most:
        faults.append(required("spec.maxReplicas", "must be set and greater than 0"))
    elif most < 0:
        faults.append(invalid("spec.maxReplicas", most, "must be greater than or equal to 1"))
    if least is not None and most < least:
        faults.append(invalid("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`"))
    target = spec.get("scaleTargetRef") or {}
    for name in ("kind", "name"):
        value = target.get(name, "")
        if not value:
            faults.append(required(f"spec.scaleTargetRef.{name}"))
        else:
            faults.extend(invalid(f"spec.scaleTargetRef.{name}", value, text) for text in segment_faults(value))
    if "/" not in target.get("apiVersion", ""):
        faults.append(invalid("spec.scaleTargetRef.apiVersion", target.get("apiVersion", ""), "apiVersion must specify API group"))


def _check_autoscaler_status(obj: JsonMap, old: JsonMap, faults: Faults) -> None:
    for name in ("currentReplicas", "desiredReplicas"):
        check_nonnegative((obj.get("status") or {}).get(name), f"status.{name}", faults)


NAMESPACE: Final = Rules(
    has_status=True, create=_create_namespace, update=_update_namespace, check=_check_namespace, check_status=_check_namespace_status
)
NODE: Final = Rules(
    has_status=True,
    status_at_create=True,
    check=_check_node,
    check_update=_check_node_update,
    check_status=_check_node_update,
    warnings=_node_warnings,
)
LEASE: Final = Rules(create=_lease_without_election, update=_update_lease, check=_check_lease)
RUNTIME_CLASS: Final = Rules(check=_check_runtime_class, check_update=_check_runtime_class_update)
HORIZONTAL_POD_AUTOSCALER: Final = Rules(has_status=True, check=_check_autoscaler, check_status=_check_autoscaler_status)

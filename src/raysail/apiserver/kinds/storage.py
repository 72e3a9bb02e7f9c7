"""PersistentVolume and the kinds of storage.k8s.io.

pkg/apis/{core,storage}/validation, pkg/registry/{core/persistentvolume,storage}/*/strategy.go. Of the cloud providers' volume sources only the one
kind per volume is checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from raysail.api.causes import duplicate, forbidden, invalid, not_supported, required, too_long
from raysail.api.meta import format_time
from raysail.api.quantity import parse_nano
from raysail.apiserver.kinds.fields import (
    IMMUTABLE,
    Faults,
    JsonMap,
    check_immutable,
    check_no_backsteps,
    check_nonnegative,
    check_nonnegative_quantity,
    check_qualified_name,
    check_selector,
    check_subdomain,
)
from raysail.apiserver.kinds.pods.placement import check_node_selector
from raysail.apiserver.kinds.rules import Rules, spec_differs
from raysail.apiserver.kinds.volume_claims import ACCESS_MODES, VOLUME_MODES
from raysail.apiserver.strategy import JsonObject, Request

_SOURCES: Final = (
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "flocker",
    "nfs",
    "rbd",
    "quobyte",
    "cephfs",
    "iscsi",
    "cinder",
    "fc",
    "flexVolume",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "scaleIO",
    "local",
    "storageos",
    "csi",
)
_RECLAIM: Final = ("Delete", "Recycle", "Retain")
_MAX_PARAMETERS: Final = 512
_MAX_PARAMETER_BYTES: Final = 256 * 1024
_NODE_ID_BYTES: Final = 256
_LEAST_TOKEN_SECONDS: Final = 600
_TOO_SHORT: Final = "may not specify a duration less than 10 minutes"
_TOO_LONG: Final = "may not specify a duration larger than 2^32 seconds"


# PersistentVolume.


def _create_volume(obj: JsonObject, request: Request) -> None:
    obj["status"] = {"phase": "Pending", "lastPhaseTransitionTime": format_time(request.now)}


def _prepare_volume_status(obj: JsonObject, old: Mapping[str, Any], request: Request) -> None:
    status, was = obj.setdefault("status", {}), old.get("status") or {}
    given, before = status.get("lastPhaseTransitionTime"), was.get("lastPhaseTransitionTime")
    if status.get("phase") == was.get("phase"):
        if given is None and before is not None:
            status["lastPhaseTransitionTime"] = before
    elif given is None or given == before:
        status["lastPhaseTransitionTime"] = format_time(request.now)


def _check_volume(obj: JsonMap, faults: Faults) -> None:
    spec = obj.get("spec") or {}
    _check_modes(spec.get("accessModes") or [], faults)
    capacity = spec.get("capacity") or {}
    if not capacity:
        faults.append(required("spec.capacity"))
    if "storage" not in capacity or len(capacity) > 1:
        faults.append(not_supported("spec.capacity", capacity, ("storage",)))
    for name, amount in capacity.items():
        check_nonnegative_quantity(amount, f"spec.capacity[{name}]", faults)
        if parse_nano(amount) <= 0:
            faults.append(invalid(f"spec.capacity[{name}]", amount, "must be greater than zero"))
    policy = spec.get("persistentVolumeReclaimPolicy")
    if policy and policy not in _RECLAIM:
        faults.append(not_supported("spec.persistentVolumeReclaimPolicy", policy, _RECLAIM))
    affinity = spec.get("nodeAffinity")
    if affinity is not None:
        if affinity.get("required") is None:
            faults.append(required("spec.nodeAffinity.required", "must specify required node constraints"))
        else:
            check_node_selector(affinity["required"], "spec.nodeAffinity.required", faults)
    _check_source(spec, faults)
    if spec.get("storageClassName"):
        check_subdomain(spec["storageClassName"], "spec.storageClassName", faults)
    if spec.get("volumeMode") is not None and spec["volumeMode"] not in VOLUME_MODES:
        faults.append(not_supported("spec.volumeMode", spec["volumeMode"], VOLUME_MODES))


def _check_modes(modes: list[str], faults: Faults) -> None:
    if not modes:
        faults.append(required("spec.accessModes"))
    faults.extend(not_supported("spec.accessModes", mode, ACCESS_MODES) for mode in modes if mode not in ACCESS_MODES)
    if "ReadWriteOncePod" in modes and any(mode in ACCESS_MODES and mode != "ReadWriteOncePod" for mode in modes):
        faults.append(forbidden("spec.accessModes", "may not use ReadWriteOncePod with other access modes"))


def _check_source(spec: JsonMap, faults: Faults) -> None:
    given = [name for name in _SOURCES if spec.get(name) is not None]
    if not given:
        faults.append(required("spec", "must specify a volume type"))
    faults.extend(forbidden(f"spec.{name}", "may not specify more than 1 volume type") for name in given[1:])
    first = given[0] if given else ""
    content = spec.get(first) or {}
    needed = {"hostPath": ("path",), "local": ("path",), "nfs": ("server", "path"), "csi": ("driver", "volumeHandle")}.get(first, ())
    faults.extend(required(f"spec.{first}.{name}") for name in needed if not content.get(name))
    if first in ("hostPath", "local") and content.get("path"):
        check_no_backsteps(content["path"], f"spec.{first}.path", faults)
    if first == "nfs" and content.get("path") and not content["path"].startswith("/"):
        faults.append(invalid("spec.nfs.path", content["path"], "must be an absolute path"))
    if "local" in given and (spec.get("nodeAffinity") or {}).get("required") is None:
        faults.append(required("spec.nodeAffinity", "Local volume requires node affinity"))
    if first == "hostPath" and spec.get("persistentVolumeReclaimPolicy") == "Recycle" and not content.get("path", "").strip("/"):
        faults.append(forbidden("spec.persistentVolumeReclaimPolicy", "may not be 'recycle' for a hostPath mount of '/'"))


def _check_volume_update(obj: JsonMap, old: JsonMap, faults: Faults) -> None:
    spec, was = obj.get("spec") or {}, old.get("spec") or {}
    if any(_source(spec, was, name) != was.get(name) for name in _SOURCES):
        faults.append(forbidden("spec.persistentvolumesource", "spec.persistentvolumesource is immutable after creation"))
    check_immutable(spec.get("volumeMode"), was.get("volumeMode"), "volumeMode", faults)
    if was.get("nodeAffinity") is not None:
        check_immutable(spec.get("nodeAffinity"), was["nodeAffinity"], "nodeAffinity", faults)
    if was.get("volumeAttributesClassName") is not None and spec.get("volumeAttributesClassName") is None:
        faults.append(forbidden("spec.volumeAttributesClassName", "update from non-nil value to nil is forbidden"))


def _source(spec: JsonMap, was: JsonMap, name: str) -> Any:
    source, before = spec.get(name), was.get(name)
    if name == "csi" and source and before and before.get("controllerExpandSecretRef") is None:
        return {key: value for key, value in source.items() if key != "controllerExpandSecretRef"}
    return source


# Classes.


def _check_provisioner(value: str, at: str, faults: Faults) -> None:
    if not value:
        faults.append(required(at))
    else:
        check_qualified_name(value.lower(), at, faults)


def _check_parameters(parameters: JsonMap, faults: Faults, *, needed: bool) -> None:
    if len(parameters) > _MAX_PARAMETERS:
        faults.append(too_long("parameters", _MAX_PARAMETERS))
        return
    if "" in parameters:
        faults.append(invalid("parameters", "", "field can not be empty."))
    if sum(len(key.encode()) + len(value.encode()) for key, value in parameters.items()) > _MAX_PARAMETER_BYTES:
        faults.append(too_long("parameters", _MAX_PARAMETER_BYTES))
    if needed and not parameters:
        faults.append(required("parameters", "must contain at least one key/value pair"))


def _check_storage_class(obj: JsonMap, faults: Faults) -> None:
    _check_provisioner(obj.get("provisioner", ""), "provisioner", faults)
    _check_parameters(obj.get("parameters") or {}, faults, needed=False)
    if obj.get("reclaimPolicy") and obj["reclaimPolicy"] not in ("Delete", "Retain"):
        faults.append(not_supported("reclaimPolicy", obj["reclaimPolicy"], ("Delete", "Retain")))
    mode = obj.get("volumeBindingMode")
    if mode is not None and mode not in ("Immediate", "WaitForFirstConsumer"):
        faults.append(not_supported("volumeBindingMode", mode, ("Immediate", "WaitForFirstConsumer")))
    seen: list[Any] = []
    for index, term in enumerate(obj.get("allowedTopologies") or ()):
        at = f"allowedTopologies[{index}].matchLabelExpressions"
        expressions: dict[str, set[str]] = {}
        for place, requirement in enumerate(term.get("matchLabelExpressions") or ()):
            key, values = requirement.get("key", ""), requirement.get("values") or []
            if not values:
                faults.append(required(f"{at}[{place}].values"))
            faults.extend(duplicate(f"{at}[{place}].values[{spot}]", value) for spot, value in enumerate(values) if value in values[:spot])
            check_qualified_name(key, f"{at}[{place}].key", faults)
            if key in expressions:
                faults.append(duplicate(f"{at}[{place}].key", key))
            expressions[key] = set(values)
        if expressions in seen:
            faults.append(duplicate(at, ""))
        seen.append(expressions)


def _check_storage_class_update(obj: JsonMap, old: JsonMap, faults: Faults) -> None:
    for name in ("parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"):
        if (obj.get(name) or None) != (old.get(name) or None):
            faults.append(invalid(name, obj.get(name), IMMUTABLE))


def _check_attributes_class(obj: JsonMap, faults: Faults) -> None:
    _check_provisioner(obj.get("driverName", ""), "driverName", faults)
    _check_parameters(obj.get("parameters") or {}, faults, needed=True)


def _check_attributes_class_update(obj: JsonMap, old: JsonMap, faults: Faults) -> None:
    for name in ("driverName", "parameters"):
        if obj.get(name) != old.get(name):
            faults.append(forbidden(name, f"updates to {name} are forbidden."))


# Drivers.


def _check_driver(obj: JsonMap, faults: Faults) -> None:
    spec = obj.get("spec") or {}
    policy = spec.get("fsGroupPolicy")
    if policy is not None and policy not in ("File", "None", "ReadWriteOnceWithFSType"):
        faults.append(not_supported("spec.fsGroupPolicy", policy, ("File", "None", "ReadWriteOnceWithFSType")))
    seen: set[str] = set()
    for index, token in enumerate(spec.get("tokenRequests") or ()):
        at, audience, seconds = f"spec.tokenRequests[{index}]", token.get("audience", ""), token.get("expirationSeconds")
        if audience in seen:
            faults.append(duplicate(f"{at}.audience", audience))
            continue
        seen.add(audience)
        if seconds is not None and not _LEAST_TOKEN_SECONDS <= seconds <= 1 << 32:
            text = _TOO_SHORT if seconds < _LEAST_TOKEN_SECONDS else _TOO_LONG
            faults.append(invalid(f"{at}.expirationSeconds", seconds, text))
    for mode in spec.get("volumeLifecycleModes") or ():
        if mode not in ("Persistent", "Ephemeral"):
            faults.append(not_supported("spec.volumeLifecycleModes", mode, ("Persistent", "Ephemeral")))
    period = spec.get("nodeAllocatableUpdatePeriodSeconds")
    if period is not None and period < 10:
        faults.append(invalid("spec.nodeAllocatableUpdatePeriodSeconds", period, "must be greater than or equal to 10 seconds"))


def _check_driver_update(obj: JsonMap, old: JsonMap, faults: Faults) -> None:
    spec, was = obj.get("spec") or {}, old.get("spec") or {}
    check_immutable(spec.get("attachRequired"), was.get("attachRequired"), "spec.attachedRequired", faults)
    check_immutable(spec.get("volumeLifecycleModes"), was.get("volumeLifecycleModes"), "spec.volumeLifecycleModes", faults)


def _check_csi_node(obj: JsonMap, faults: Faults) -> None:
    names: set[str] = set()
    for index, driver in enumerate((obj.get("spec") or {}).get("drivers") or ()):
        at, name, node = f"spec.drivers[{index}]", driver.get("name", ""), driver.get("nodeID", "")
        if not name:
            faults.append(required(f"{at}.name"))
        elif len(name) > 63:
            faults.append(too_long(f"{at}.name", 63))
        check_subdomain(name.lower(), f"{at}.name", faults)
        if not node:
            faults.append(required(f"{at}.nodeID"))
        if len(node) > _NODE_ID_BYTES:
            faults.append(invalid(f"{at}.nodeID", node, f"must be {_NODE_ID_BYTES} characters or less"))
        check_nonnegative((driver.get("allocatable") or {}).get("count"), f"{at}.allocatable.count", faults)
        if name in names:
            faults.append(duplicate(f"{at}.name", name))
        names.add(name)
        keys = driver.get("topologyKeys") or []
        for place, key in enumerate(keys):
            if not key:
                faults.append(required(at))
            if key in keys[:place]:
                faults.append(duplicate(at, key))
            check_qualified_name(key, at, faults)


def _check_csi_node_update(obj: JsonMap, old: JsonMap, faults: Faults) -> None:
    before = {driver.get("name"): driver for driver in (old.get("spec") or {}).get("drivers") or ()}
    for driver in (obj.get("spec") or {}).get("drivers") or ():
        was = before.get(driver.get("name"))
        if was is not None and {**was, "allocatable": None} != {**driver, "allocatable": None}:
            faults.append(invalid("spec.drivers", driver, IMMUTABLE))


def _check_capacity(obj: JsonMap, faults: Faults) -> None:
    check_selector(obj.get("nodeTopology"), "nodeTopology", faults)
    check_subdomain(obj.get("storageClassName", ""), "storageClassName", faults)
    if obj.get("capacity") is not None:
        check_nonnegative_quantity(obj["capacity"], "capacity", faults)


def _check_capacity_update(obj: JsonMap, old: JsonMap, faults: Faults) -> None:
    for name in ("nodeTopology", "storageClassName"):
        check_immutable(obj.get(name), old.get(name), name, faults)


def _check_attachment(obj: JsonMap, faults: Faults) -> None:
    spec = obj.get("spec") or {}
    if not spec.get("attacher"):
        faults.append(required("spec.attacher"))
    source = spec.get("source") or {}
    inline, name = source.get("inlineVolumeSpec"), source.get("persistentVolumeName")
    if inline is None and name is None:
        faults.append(required("spec.source", "must specify exactly one of inlineVolumeSpec and persistentVolumeName"))
    elif inline is not None and name is not None:
        faults.append(forbidden("spec.source", "must specify exactly one of inlineVolumeSpec and persistentVolumeName"))
    elif name == "":
        faults.append(required("spec.source.persistentVolumeName", "must specify non empty persistentVolumeName"))
    if not spec.get("nodeName"):
        faults.append(required("spec.nodeName"))
    else:
        check_subdomain(spec["nodeName"], "spec.nodeName", faults)


def _check_attachment_update(obj: JsonMap, old: JsonMap, faults: Faults) -> None:
    check_immutable(obj.get("spec"), old.get("spec"), "spec", faults)


PERSISTENT_VOLUME: Final = Rules(
    has_status=True,
    create=_create_volume,
    prepare_status=_prepare_volume_status,
    check=_check_volume,
    check_update=_check_volume_update,
)
STORAGE_CLASS: Final = Rules(check=_check_storage_class, check_update=_check_storage_class_update)
VOLUME_ATTRIBUTES_CLASS: Final = Rules(check=_check_attributes_class, check_update=_check_attributes_class_update)
CSI_DRIVER: Final = Rules(check=_check_driver, check_update=_check_driver_update, changed=spec_differs)
CSI_NODE: Final = Rules(check=_check_csi_node, check_update=_check_csi_node_update)
CSI_STORAGE_CAPACITY: Final = Rules(check=_check_capacity, check_update=_check_capacity_update)
VOLUME_ATTACHMENT: Final = Rules(
    has_status=True, check=_check_attachment, check_update=_check_attachment_update, status_keeps=("annotations",)
)

"""PersistentVolumeClaim, also as a template inside Pods and StatefulSets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from raysail.api.causes import forbidden, invalid, not_supported, required
from raysail.api.quantity import parse_nano
from raysail.apiserver.kinds.fields import (
    Faults,
    JsonMap,
    check_annotations,
    check_immutable,
    check_labels,
    check_nonnegative_quantity,
    check_selector,
    check_subdomain,
)
from raysail.apiserver.kinds.rules import Rules
from raysail.apiserver.strategy import JsonObject, Request

ACCESS_MODES: Final = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
VOLUME_MODES: Final = ("Block", "Filesystem")


def check_claim_template(template: JsonMap, at: str, faults: Faults) -> None:
    """The claim of an ephemeral volume."""
    metadata = template.get("metadata") or {}
    check_annotations(metadata.get("annotations"), f"{at}.metadata.annotations", faults)
    check_labels(metadata.get("labels"), f"{at}.metadata.labels", faults)
    check_claim_spec(template.get("spec") or {}, f"{at}.spec", faults)


def check_access_modes(spec: JsonMap, at: str, faults: Faults) -> None:
    """At least one mode, ReadWriteOncePod only alone."""
    modes = spec.get("accessModes") or []
    if not modes:
        faults.append(required(f"{at}.accessModes", "at least 1 access mode is required"))
    faults.extend(not_supported(f"{at}.accessModes", mode, ACCESS_MODES) for mode in modes if mode not in ACCESS_MODES)
    if "ReadWriteOncePod" in modes and any(mode in ACCESS_MODES and mode != "ReadWriteOncePod" for mode in modes):
        faults.append(forbidden(f"{at}.accessModes", "may not use ReadWriteOncePod with other access modes"))


def check_claim_spec(spec: JsonMap, at: str, faults: Faults) -> None:
    """What is claimed."""
    check_access_modes(spec, at, faults)
    check_selector(spec.get("selector"), f"{at}.selector", faults)
    storage = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    here = f"{at}.resources[storage]"
    if storage is None:
        faults.append(required(here))
    elif parse_nano(storage) <= 0:
        faults.append(invalid(here, storage, "must be greater than zero"))
    for name in ("storageClassName", "volumeAttributesClassName"):
        if spec.get(name):
            check_subdomain(spec[name], f"{at}.{name}", faults)
    mode = spec.get("volumeMode")
    if mode is not None and mode not in VOLUME_MODES:
        faults.append(not_supported(f"{at}.volumeMode", mode, VOLUME_MODES))
    for name in ("dataSource", "dataSourceRef"):
        if spec.get(name) is not None:
            _check_source(spec[name], f"{at}.{name}", faults)


def _check_source(source: JsonMap, at: str, faults: Faults) -> None:
    faults.extend(required(f"{at}.{name}") for name in ("name", "kind") if not source.get(name))
    group = source.get("apiGroup") or ""
    if not group and source.get("kind") != "PersistentVolumeClaim":
        text = "must be 'PersistentVolumeClaim' when referencing the default apiGroup"
        faults.append(invalid(at, source.get("kind", ""), text))
    if group:
        check_subdomain(group, f"{at}.apiGroup", faults)


def _check(obj: JsonMap, faults: Faults) -> None:
    check_claim_spec(obj.get("spec") or {}, "spec", faults)


def _storage(spec: Mapping[str, Any]) -> int:
    return parse_nano(((spec.get("resources") or {}).get("requests") or {}).get("storage") or "0")


def _check_update(obj: JsonMap, old: JsonMap, faults: Faults) -> None:
    spec, was = dict(obj.get("spec") or {}), dict(old.get("spec") or {})
    bound = (obj.get("status") or {}).get("phase") == "Bound"
    if not was.get("volumeName"):
        was["volumeName"] = spec.get("volumeName")
        if was["volumeName"] is None:
            del was["volumeName"]
    if was.get("storageClassName") is None and spec.get("storageClassName") is not None:
        was["storageClassName"] = spec["storageClassName"]  # a default class that comes later is taken on
    if bound:
        if (spec.get("resources") or {}).get("requests"):
            resources = spec["resources"]
            spec["resources"] = {**resources, "requests": {**resources["requests"], "storage": was["resources"]["requests"]["storage"]}}
        for name in ("volumeAttributesClassName",):
            was[name] = spec.get(name)
            if was[name] is None:
                del was[name]
    if spec != was:
        text = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
        faults.append(forbidden("spec", text))
    new_size, old_size = _storage(obj.get("spec") or {}), _storage(old.get("spec") or {})
    if new_size < old_size and new_size <= parse_nano(((old.get("status") or {}).get("capacity") or {}).get("storage") or "0"):
        faults.append(forbidden("spec.resources.requests.storage", "field can not be less than status.capacity"))
    check_immutable((obj.get("spec") or {}).get("volumeMode"), (old.get("spec") or {}).get("volumeMode"), "volumeMode", faults)


def _check_status(obj: JsonMap, old: JsonMap, faults: Faults) -> None:
    for field in ("capacity", "allocatedResources"):
        for name, amount in ((obj.get("status") or {}).get(field) or {}).items():
            check_nonnegative_quantity(amount, f"status.{field}[{name}]", faults)


def _create(obj: JsonObject, request: Request) -> None:
    spec = obj.get("spec") or {}
    if spec.get("dataSource") is not None and spec.get("dataSourceRef") is None:
        spec["dataSourceRef"] = dict(spec["dataSource"])
    elif spec.get("dataSourceRef") is not None and spec.get("dataSource") is None and not spec["dataSourceRef"].get("namespace"):
        spec["dataSource"] = {key: value for key, value in spec["dataSourceRef"].items() if key != "namespace"}


PERSISTENT_VOLUME_CLAIM: Final = Rules(
    has_status=True, create=_create, check=_check, check_update=_check_update, check_status=_check_status
)

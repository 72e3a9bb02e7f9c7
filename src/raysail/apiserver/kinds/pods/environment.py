"""Environment variables and the downward API."""

from __future__ import annotations

import re
from typing import Any, Final

from raysail.api.causes import invalid, not_supported, required
from raysail.api.quantity import parse_nano
from raysail.apiserver.kinds.fields import (
    Faults,
    JsonMap,
    check_label,
    check_no_backsteps,
    check_qualified_name,
    check_subdomain,
    config_key_faults,
    each,
    environment_name_faults,
)

ENVIRONMENT_FIELDS: Final = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
VOLUME_FIELDS: Final = ("metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid")
_RESOURCES: Final = (
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
)
_CONVERTIBLE: Final = frozenset(
    {*ENVIRONMENT_FIELDS, *VOLUME_FIELDS, "metadata.generation", "spec.restartPolicy", "spec.schedulerName", "status.phase"}
)
_SUBSCRIPT: Final = re.compile(r"(.*)\['(.*)'\]", re.DOTALL)
_CPU_DIVISORS: Final = (1_000_000, 1_000_000_000)
_MEMORY_DIVISORS: Final = frozenset(
    parse_nano(text) for text in ("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei")
)
_SOURCES: Final = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")


def check_environment(variables: list[Any], at: str, faults: Faults) -> None:
    """`env`."""
    for index, variable in enumerate(variables):
        here, name = f"{at}[{index}]", variable.get("name", "")
        if not name:
            faults.append(required(f"{here}.name"))
        else:
            each(faults, f"{here}.name", name, environment_name_faults(name))
        if variable.get("valueFrom") is not None:
            _check_value_from(variable, f"{here}.valueFrom", faults)


def _check_value_from(variable: JsonMap, at: str, faults: Faults) -> None:
    source = variable["valueFrom"]
    given = [name for name in _SOURCES if source.get(name) is not None]
    for name in given:
        here, reference = f"{at}.{name}", source[name]
        if name == "fieldRef":
            check_field_reference(reference, ENVIRONMENT_FIELDS, here, faults)
        elif name == "resourceFieldRef":
            check_resource_reference(reference, here, faults, in_volume=False)
        elif name == "fileKeyRef":
            _check_file_key(reference, here, faults)
        else:
            check_subdomain(reference.get("name", ""), f"{here}.name", faults)
            _check_key(reference, here, faults)
    if not given:
        text = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        faults.append(invalid(at, "", text))
    elif variable.get("value"):
        faults.append(invalid(at, "", "may not be specified when `value` is not empty"))
    elif len(given) > 1:
        faults.append(invalid(at, "", "may not have more than one field specified at a time"))


def _check_key(reference: JsonMap, at: str, faults: Faults) -> None:
    key = reference.get("key", "")
    if not key:
        faults.append(required(f"{at}.key"))
    else:
        each(faults, f"{at}.key", key, config_key_faults(key))


def _check_file_key(reference: JsonMap, at: str, faults: Faults) -> None:
    key, volume, path = reference.get("key", ""), reference.get("volumeName", ""), reference.get("path", "")
    if not key:
        faults.append(required(f"{at}.key"))
    else:
        each(faults, f"{at}.key", key, environment_name_faults(key))
    if not volume:
        faults.append(required(f"{at}.volumeName"))
    else:
        check_label(volume, f"{at}.volumeName", faults)
    if not path:
        faults.append(required(f"{at}.path"))
    else:
        check_no_backsteps(path, f"{at}.path", faults)


def check_environment_from(sources: list[Any], at: str, faults: Faults) -> None:
    """`envFrom`."""
    for index, source in enumerate(sources):
        here = f"{at}[{index}]"
        if source.get("prefix"):
            each(faults, f"{here}.prefix", source["prefix"], environment_name_faults(source["prefix"]))
        given = [name for name in ("configMapRef", "secretRef") if source.get(name) is not None]
        for name in given:
            referred = source[name].get("name", "")
            if not referred:
                faults.append(required(f"{here}.{name}.name"))
            else:
                check_subdomain(referred, f"{here}.{name}.name", faults)
        if not given:
            faults.append(invalid(at, "", "must specify one of: `configMapRef` or `secretRef`"))
        elif len(given) > 1:
            faults.append(invalid(at, "", "may not have more than one field specified at a time"))


def check_field_reference(reference: JsonMap, allowed: tuple[str, ...], at: str, faults: Faults) -> None:
    """A field of the Pod."""
    version, path = reference.get("apiVersion", ""), reference.get("fieldPath", "")
    if not version:
        faults.append(required(f"{at}.apiVersion"))
        return
    if not path:
        faults.append(required(f"{at}.fieldPath"))
        return
    match = _SUBSCRIPT.fullmatch(path)
    name = match[1] if match else path
    if version != "v1":
        faults.append(invalid(f"{at}.fieldPath", path, f"error converting fieldPath: unsupported pod version: {version}"))
    elif (match and name not in ("metadata.annotations", "metadata.labels")) or (not match and name not in _CONVERTIBLE):
        text = f"field label does not support subscript: {path}" if match else f"field label not supported: {path}"
        faults.append(invalid(f"{at}.fieldPath", path, f"error converting fieldPath: {text}"))
    elif match:
        check_qualified_name(match[2].lower() if name == "metadata.annotations" else match[2], at, faults)
    elif name not in allowed:
        faults.append(not_supported(f"{at}.fieldPath", name, sorted(allowed)))


def check_resource_reference(reference: JsonMap, at: str, faults: Faults, *, in_volume: bool) -> None:
    """A container's request or limit."""
    resource = reference.get("resource", "")
    if in_volume and not reference.get("containerName"):
        faults.append(required(f"{at}.containerName"))
    elif not resource:
        faults.append(required(f"{at}.resource"))
    elif resource not in _RESOURCES and not resource.startswith(("requests.hugepages-", "limits.hugepages-")):
        faults.append(not_supported(f"{at}.resource", resource, _RESOURCES))
    divisor = parse_nano(reference.get("divisor") or "0")
    if divisor:
        is_cpu = resource.endswith(".cpu")
        if divisor not in (_CPU_DIVISORS if is_cpu else _MEMORY_DIVISORS):
            allowed = "1m and 1" if is_cpu else "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei"
            kind = "cpu" if is_cpu else "memory"
            text = f"only divisor's values {allowed} are supported with the {kind} resource"
            faults.append(invalid(f"{at}.divisor", reference.get("divisor"), text))

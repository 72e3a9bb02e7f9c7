"""What Kueue refuses in resources.deviceClassMappings: which device classes count as which resource (pkg/config/validation.go)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from raysail.api.causes import invalid, required, too_many
from raysail.api.errors import Cause
from raysail.api.names import label_key_faults, subdomain_faults
from raysail.operator.feature_gates import is_on

Json = Mapping[str, Any]

MAX_MAPPINGS: Final = 16
MAX_CLASSES: Final = 8
MAX_NAME: Final = 253
MAX_DRIVER: Final = 63
_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_GATES: Final = {"counter": "KueueDRAIntegrationPartitionableDevices", "capacity": "KueueDRAIntegrationConsumableCapacity"}


def device_faults(mappings: Sequence[Json], gates: Mapping[str, bool]) -> list[Cause]:
    """All faults, in the order of the mappings."""
    root = "resources.deviceClassMappings"
    if len(mappings) > MAX_MAPPINGS:
        return [too_many(root, len(mappings), MAX_MAPPINGS)]
    faults: list[Cause] = []
    used: dict[str, set[str]] = {}
    for at, mapping in enumerate(mappings):
        path = f"{root}[{at}]"
        name = mapping.get("name") or ""
        if label_key_faults(name) or len(name) > MAX_NAME:
            faults.append(invalid(f"{path}.name", name, "; ".join(label_key_faults(name)) or f"must be no more than {MAX_NAME} characters"))
        faults += _classes(mapping, path)
        sources = mapping.get("sources") or ()
        faults += _sources(sources, path, gates)
        faults += _repetitions(mapping, path, used)
    return faults


def _classes(mapping: Json, path: str) -> Iterator[Cause]:
    names = mapping.get("deviceClassNames") or ()
    if not names:
        yield required(f"{path}.deviceClassNames", "cannot be empty")
    if len(names) > MAX_CLASSES:
        yield too_many(f"{path}.deviceClassNames", len(names), MAX_CLASSES)
    for at, name in enumerate(names):
        details = label_key_faults(name)
        if details:
            yield invalid(f"{path}.deviceClassNames[{at}]", name, "; ".join(details))


def _sources(sources: Sequence[Json], path: str, gates: Mapping[str, bool]) -> Iterator[Cause]:
    kinds = {kind for source in sources for kind in _GATES if source.get(kind) is not None}
    if len(kinds) > 1:
        yield invalid(f"{path}.sources", sorted(kinds), "counter and capacity sources cannot be mixed")
        return
    for at, source in enumerate(sources):
        for kind, gate in _GATES.items():
            found = source.get(kind)
            if found is None:
                continue
            where = f"{path}.sources[{at}].{kind}"
            if not is_on(gate, gates):
                yield invalid(where, kind, f"needs the feature gate {gate}")
                continue
            yield from _source(found, where, kind)


def _source(source: Json, path: str, kind: str) -> Iterator[Cause]:
    name, driver = source.get("name") or "", source.get("driver") or ""
    if not name:
        yield required(f"{path}.name")
    elif kind == "capacity" and not _is_qualified(name):
        yield invalid(f"{path}.name", name, "must be a C identifier, or a domain, a slash and one")
    if not driver:
        yield required(f"{path}.driver")
    elif subdomain_faults(driver) or len(driver) > MAX_DRIVER:
        yield invalid(f"{path}.driver", driver, "; ".join(subdomain_faults(driver)) or f"must be no more than {MAX_DRIVER} characters")


def _is_qualified(name: str) -> bool:
    domain, slash, identifier = name.rpartition("/")
    return bool(_IDENTIFIER.fullmatch(identifier)) and (not slash or not subdomain_faults(domain))


def _repetitions(mapping: Json, path: str, used: dict[str, set[str]]) -> Iterator[Cause]:
    """One device class may stand for several resources only by different counters or capacities."""
    ways = {
        f"{kind}/{found.get('driver', '')}/{found.get('name', '')}"
        for source in mapping.get("sources") or ()
        for kind in _GATES
        if (found := source.get(kind)) is not None
    } or {""}
    for at, name in enumerate(mapping.get("deviceClassNames") or ()):
        before = used.setdefault(name, set())
        if before and ("" in before or "" in ways or before & ways):
            yield invalid(f"{path}.deviceClassNames[{at}]", name, "is already counted by another mapping")
        before |= ways

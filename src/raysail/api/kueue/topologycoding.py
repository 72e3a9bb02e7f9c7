"""Topology assignments as lists of domains, and in the compressed form that v1beta2 stores (pkg/util/tas, KEP-2724).

Compressed: domains go into slices; in a slice, a level's values are written once if they are all equal, else without what they begin and end with.
Host names that share what stands before a dash go into a slice of their own where that makes the text shorter.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from raysail.api.core.node import HOSTNAME_LABEL

Json = Mapping[str, Any]
MOST_DOMAINS_PER_SLICE: Final = 100_000
MOST_SLICES: Final = 1_000


@dataclass(frozen=True, slots=True)
class Domain:
    """A place in the topology, by its values from the widest level to the narrowest, and the Pods there."""

    values: tuple[str, ...]
    count: int


def decode(assignment: Json) -> Iterator[Domain]:
    """The domains of a v1beta2 topologyAssignment, in order."""
    levels = len(assignment.get("levels") or ())
    for part in assignment.get("slices") or ():
        per_level = [_values(part, level) for level in range(levels)]
        counts = part.get("podCounts") or {}
        universal, individual = counts.get("universal"), counts.get("individual") or ()
        for at in range(part.get("domainCount", 0)):
            count = universal if universal is not None else individual[at]
            yield Domain(tuple(value[0] if len(value) == 1 else value[at] for value in per_level), count)


def encode(levels: Sequence[str], domains: Sequence[Domain], *, by_hostname_prefix: bool = True) -> dict[str, Any]:
    """The v1beta2 topologyAssignment of these domains."""
    single = {"levels": list(levels), "slices": [_slice(len(levels), domains)] if domains else []}
    if not by_hostname_prefix:
        return single
    split = encode_by_prefix_runs(levels, domains)
    if len(split["slices"]) <= 1 or len(domains) > MOST_DOMAINS_PER_SLICE:
        return split
    return single if len(orjson.dumps(single)) < len(orjson.dumps(split)) else split


def encode_by_prefix_runs(levels: Sequence[str], domains: Sequence[Domain]) -> dict[str, Any]:
    """A slice for each run of host names with a common prefix; one for all where the lowest level is not the host."""
    keys = hostname_prefix_keys([d.values[-1] for d in domains]) if len(domains) > 1 and levels and levels[-1] == HOSTNAME_LABEL else []
    slices = [
        _slice(len(levels), run[start : start + MOST_DOMAINS_PER_SLICE])
        for run in runs(domains, keys)
        for start in range(0, len(run), MOST_DOMAINS_PER_SLICE)
    ]
    return {"levels": list(levels), "slices": slices}


def runs(domains: Sequence[Domain], keys: Sequence[str]) -> list[Sequence[Domain]]:
    """Neighbours with equal keys; without keys all are one run."""
    if not domains:
        return []
    if not keys:
        return [domains]
    starts = [0, *(at for at in range(1, len(domains)) if keys[at] != keys[at - 1])]
    return [domains[start:end] for start, end in zip(starts, [*starts[1:], len(domains)], strict=True)]


def hostname_prefix_keys(hostnames: Sequence[str]) -> list[str]:
    """For each host name its longest prefix up to a dash that another one has too; shorter ones where that made too many slices."""
    candidates = [[name[: end + 1] for end in range(len(name) - 1) if name[end] == "-"] for name in hostnames]
    seen: dict[str, int] = {}
    for prefixes in candidates:
        for prefix in prefixes:
            seen[prefix] = seen.get(prefix, 0) + 1
    for depth in range(max(map(len, candidates), default=0), 0, -1):
        keys = [next((prefix for prefix in reversed(prefixes[:depth]) if seen[prefix] > 1), "") for prefixes in candidates]
        lengths: list[int] = []
        for at, key in enumerate(keys):
            if at and key == keys[at - 1]:
                lengths[-1] += 1
            else:
                lengths.append(1)
        if sum(-(-length // MOST_DOMAINS_PER_SLICE) for length in lengths) <= MOST_SLICES:
            return keys
    return []


def domain_count(assignment: Json | None) -> int:
    """How many domains a v1beta2 topologyAssignment has."""
    return sum(part.get("domainCount", 0) for part in (assignment or {}).get("slices") or ())


def _values(part: Json, level: int) -> Sequence[str]:
    """The values of a level: one for all domains, or one for each."""
    values = part["valuesPerLevel"][level]
    if values.get("universal") is not None:
        return (values["universal"],)
    individual = values.get("individual") or {}
    prefix, suffix = individual.get("prefix") or "", individual.get("suffix") or ""
    return [f"{prefix}{root}{suffix}" for root in individual.get("roots") or ()]


def _slice(levels: int, domains: Sequence[Domain]) -> dict[str, Any]:
    counts = [domain.count for domain in domains]
    same = all(count == counts[0] for count in counts)
    return {
        "domainCount": len(domains),
        "valuesPerLevel": [_level_values([domain.values[level] for domain in domains]) for level in range(levels)],
        "podCounts": {"universal": counts[0]} if same else {"individual": counts},
    }


def _level_values(values: Sequence[str]) -> dict[str, Any]:
    prefix = _common_prefix(values)
    if len(prefix) == max(map(len, values)):
        return {"universal": prefix}
    suffix = _common_prefix([value[::-1] for value in values])[::-1]
    shortest = min(map(len, values))
    if len(prefix) + len(suffix) > shortest:
        prefix = prefix[: shortest - len(suffix)]
    individual: dict[str, Any] = {}
    if prefix:
        individual["prefix"] = prefix
    if suffix:
        individual["suffix"] = suffix
    individual["roots"] = [value[len(prefix) : len(value) - len(suffix)] for value in values]
    return {"individual": individual}


def _common_prefix(texts: Sequence[str]) -> str:
    """What all texts begin with: what the first and the last in order begin with."""
    first, last = min(texts), max(texts)
    return next((first[:at] for at, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), first[: len(last)])

"""Reading the corpus: files, cases, objects as views, amounts, and comparing what came out with what was wanted."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from raysail.api.quantity import QuantityError, parse_nano
from raysail.queue.model.quota import UNLIMITED, Amounts

T = TypeVar("T")
Json = dict[str, Any]


class Skip(Exception):  # noqa: N818 - it is no error
    """A case that has no meaning here; the text says why."""


@dataclass(slots=True)
class Case:
    """One case of one file."""

    group: str
    test: str
    id: str
    fixtures: Json
    given: Json
    want: Json
    gates: Mapping[str, bool] = field(default_factory=dict)
    now: str = ""
    usable: bool = True


def files(folder: Path, group: str) -> Iterator[Path]:
    yield from sorted(path for path in (folder / group).iterdir() if ".jsonl" in path.name)


def cases(path: Path) -> Iterator[Case]:
    """All cases of a file."""
    opened = gzip.open(path, "rt") if path.suffix == ".gz" else path.open()  # noqa: SIM115 - closed by the `with` below, whichever it is
    test = path.name.split(".jsonl")[0]
    fixtures: Json = {}
    with opened as lines:
        for line in lines:
            entry = json.loads(line)
            if "fixtures" in entry:
                fixtures = entry["fixtures"] or {}
                continue
            yield Case(
                path.parent.name,
                test,
                entry["id"],
                fixtures,
                entry.get("in") or {},
                entry.get("want") if isinstance(entry.get("want"), dict) else {"want": entry.get("want")},
                entry.get("gates") or {},
                entry.get("now") or "",
                entry.get("usable", True),
            )


def view(obj: Any, kind: type[T]) -> T:
    """An object of the corpus as a read view."""
    return msgspec.convert(obj, kind)


def amount(value: Any) -> int:
    return UNLIMITED if value == "unlimited" else int(value)


_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|h|m|s)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds_of(text: str) -> float:
    """A duration as Go writes it."""
    return sum(float(number) * _SECONDS[unit] for number, unit in _DURATION.findall(text))


def amounts(pairs: Any) -> Amounts:
    """A map keyed by {Flavor, Resource}, as pairs."""
    return {(key.get("Flavor", ""), key.get("Resource", "")): amount(value) for key, value in pairs or ()}


def plain(value: Any) -> Any:
    """Without empty members, so that missing and zero are the same."""
    if isinstance(value, Mapping):
        kept = {key: plain(each) for key, each in value.items()}
        return {key: each for key, each in kept.items() if each not in (None, "", 0, False, [], {})}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


def by_value(value: Any, *, inside: bool = False) -> Any:
    """Quantities as numbers, in the members that hold them."""
    if isinstance(value, Mapping):
        return {key: by_value(each, inside=inside or key in _QUANTITIES) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [by_value(each, inside=inside) for each in value]
    if inside and isinstance(value, str | int) and not isinstance(value, bool):
        try:
            return f"{parse_nano(value)}n"
        except QuantityError:
            return value
    return value


_QUANTITIES = ("resourceUsage", "resources", "requests", "limits", "Requests", "overhead")


def differences(got: Any, want: Any, at: str = "") -> list[str]:
    """Where two plain values differ, one line each."""
    if isinstance(got, Mapping) and isinstance(want, Mapping):
        found = []
        for key in sorted(set(got) | set(want), key=str):
            found += differences(got.get(key), want.get(key), f"{at}.{key}" if at else str(key))
        return found
    if isinstance(got, list) and isinstance(want, list) and len(got) == len(want):
        found = []
        for index, (one, other) in enumerate(zip(got, want, strict=True)):
            found += differences(one, other, f"{at}[{index}]")
        return found
    return [] if got == want else [f"{at}: got {_short(got)}, want {_short(want)}"]


def _short(value: Any) -> str:
    text = json.dumps(value, default=str, sort_keys=True)
    return text if len(text) <= 300 else text[:297] + "..."

"""Prometheus' text format, version 0.0.4: families of samples, and counters and histograms that are kept between scrapes. Pure.

A label set is a tuple of values in the order of the family's label names.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

Labels = tuple[str, ...]
_ESCAPES: Final = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
_HELP_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\n": "\\n"})


@dataclass(frozen=True, slots=True)
class Family:
    """A metric by name. `kind` is gauge, counter or histogram; `buckets` are upper bounds, in ascending order."""

    name: str
    kind: str
    told: str
    labels: tuple[str, ...]
    buckets: tuple[float, ...] = ()

    def head(self) -> Iterator[str]:
        """The two lines before its samples."""
        yield f"# HELP {self.name} {self.told.translate(_HELP_ESCAPES)}"
        yield f"# TYPE {self.name} {self.kind}"

    def lines(self, samples: Iterable[tuple[Sequence[str], float]]) -> Iterator[str]:
        """All of it; nothing at all while there are no samples, as Prometheus' clients do."""
        found = [f"{self.name}{label_text(zip(self.labels, values, strict=True))} {number(value)}" for values, value in samples]
        if found:
            yield from self.head()
            yield from found


class Counter:
    """Counts per label set; only goes up."""

    __slots__ = ("counts", "family")

    def __init__(self, family: Family) -> None:
        self.family = family
        self.counts: dict[Labels, float] = {}

    def add(self, labels: Labels, amount: float = 1) -> None:
        """One more, or that many."""
        self.counts[labels] = self.counts.get(labels, 0) + amount

    def forget(self, gone: Callable[[Mapping[str, str]], bool]) -> None:
        """Drops label sets of what is there no more."""
        for labels in [labels for labels in self.counts if gone(dict(zip(self.family.labels, labels, strict=True)))]:
            del self.counts[labels]

    def lines(self) -> Iterator[str]:
        """Its samples."""
        yield from self.family.lines(self.counts.items())


class Histogram:
    """Observations per label set, counted into the family's buckets."""

    __slots__ = ("counts", "family", "sums")

    def __init__(self, family: Family) -> None:
        self.family = family
        self.counts: dict[Labels, list[int]] = {}
        self.sums: dict[Labels, float] = {}

    def observe(self, labels: Labels, value: float) -> None:
        """One more observation."""
        counts = self.counts.get(labels)
        if counts is None:
            counts = self.counts[labels] = [0] * (len(self.family.buckets) + 1)
            self.sums[labels] = 0.0
        counts[bisect_left(self.family.buckets, value)] += 1
        self.sums[labels] += value

    def forget(self, gone: Callable[[Mapping[str, str]], bool]) -> None:
        """Drops label sets of what is there no more."""
        for labels in [labels for labels in self.counts if gone(dict(zip(self.family.labels, labels, strict=True)))]:
            del self.counts[labels], self.sums[labels]

    def lines(self) -> Iterator[str]:
        """Cumulative buckets, sum and count of each label set."""
        if not self.counts:
            return
        yield from self.family.head()
        bounds = [*(number(bound) for bound in self.family.buckets), "+Inf"]
        for labels, counts in self.counts.items():
            pairs = tuple(zip(self.family.labels, labels, strict=True))
            for bound, upto in zip(bounds, accumulate(counts), strict=True):
                yield f"{self.family.name}_bucket{label_text((*pairs, ('le', bound)))} {upto}"
            yield f"{self.family.name}_sum{label_text(pairs)} {number(self.sums[labels])}"
            yield f"{self.family.name}_count{label_text(pairs)} {sum(counts)}"


def label_text(pairs: Iterable[tuple[str, str]]) -> str:
    """`{name="value",...}`; empty where there are none."""
    inner = ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in pairs)
    return f"{{{inner}}}" if inner else ""


def number(value: float) -> str:
    """A value as Prometheus writes it."""
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if math.isnan(value):
        return "NaN"
    return str(int(value)) if float(value).is_integer() and abs(value) < 1e15 else repr(float(value))

"""Partial admission: the largest number of Pods, in proportional steps between count and minCount, with which a workload can start.

Source: Kueue pkg/scheduler/flavorassigner/podset_reducer.go. It assumes, as there, that fewer Pods never fit worse.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def largest_fitting(pod_sets: Sequence[tuple[int, int | None]], fits: Callable[[list[int]], T | None]) -> T | None:
    """What `fits` gave for the largest counts it accepts. `pod_sets` are (count, minimum); None where nothing can be reduced or nothing fits."""
    deltas = [count - (least if least is not None else count) for count, least in pod_sets]
    steps = sum(deltas)
    if steps == 0:
        return None
    found: T | None = None
    found_at = -1
    low, high = 0, steps + 1
    while low < high:
        middle = (low + high) // 2
        result = fits([count - delta * middle // steps for (count, _), delta in zip(pod_sets, deltas, strict=True)])
        if result is not None:
            found, found_at = result, middle
            high = middle
        else:
            low = middle + 1
    return found if low == found_at else None

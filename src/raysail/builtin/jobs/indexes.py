"""Completion indexes as text: `0,2-5`, as they stand in a Job's status and in success policies (pkg/controller/job/indexed_job_utils.go)."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

_INTERVAL: Final = re.compile(r"([0-9]+)(?:-([0-9]+))?", re.ASCII)


def parse_indexes(text: str | None, completions: int) -> set[int]:
    """The indexes in the text that are below `completions`. Intervals that cannot be read are passed over."""
    found: set[int] = set()
    for part in (text or "").split(","):
        match = _INTERVAL.fullmatch(part.strip())
        if match:
            first = int(match.group(1))
            last = int(match.group(2)) if match.group(2) else first
            found.update(range(first, min(last, completions - 1) + 1))
    return found


def format_indexes(indexes: Collection[int]) -> str:
    """The shortest text: `1-3` for three and more in a row, `1,2` for two."""
    parts: list[str] = []
    run: list[int] = []
    for index in [*sorted(indexes), None]:
        if run and index is not None and index == run[-1] + 1:
            run.append(index)
            continue
        if run:
            parts.append(str(run[0]) if len(run) == 1 else f"{run[0]},{run[1]}" if len(run) == 2 else f"{run[0]}-{run[-1]}")
        run = [index] if index is not None else []
    return ",".join(parts)


def first_pending(completions: int, count: int, taken: Collection[int]) -> list[int]:
    """Up to `count` of the lowest indexes that are not taken."""
    found: list[int] = []
    for index in range(completions):
        if len(found) == count:
            break
        if index not in taken:
            found.append(index)
    return found

"""Numbers that may also be percentages (`maxSurge`, `minAvailable`, ...)."""

from __future__ import annotations

import re
from typing import Final

_PERCENT: Final = re.compile(r"(\d+)%", re.ASCII)


def amount_of(value: int | str | None, whole: int, *, up: bool) -> int:
    """A number or a percentage of `whole`, rounded up or down; 0 for None."""
    if isinstance(value, int):
        return value
    match = _PERCENT.fullmatch(value or "")
    if not match:
        return 0
    part = int(match.group(1)) * whole
    return -(-part // 100) if up else part // 100

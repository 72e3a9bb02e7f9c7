"""Comparing Ray's versions as KubeRay does: dotted numbers, whatever follows them ignored."""

from __future__ import annotations

import re
from typing import Final

_VERSION: Final = re.compile(r"v?(\d+(?:\.\d+)+)")


def parse(text: str) -> tuple[int, ...] | None:
    """The numbers of a version such as `2.46.0` or `v2.9.0-rc1`; None for what is none."""
    match = _VERSION.match(text or "")
    return tuple(int(part) for part in match[1].split(".")) if match else None


def at_least(text: str, minimum: str) -> bool:
    """Whether the version is that one or a later one. What is no version is not."""
    found, wanted = parse(text), parse(minimum)
    if found is None or wanted is None:
        return False
    length = max(len(found), len(wanted))
    return found + (0,) * (length - len(found)) >= wanted + (0,) * (length - len(wanted))

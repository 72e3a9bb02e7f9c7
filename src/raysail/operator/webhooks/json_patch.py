"""RFC 6902: the operations that make one JSON value out of another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def difference(old: Any, new: Any, path: str = "") -> Iterator[dict[str, Any]]:
    """Operations in an order in which they can be applied. Lists that differ are replaced as a whole."""
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        if old != new or type(old) is not type(new):
            yield {"op": "replace", "path": path, "value": new}
        return
    for key in old:
        if key not in new:
            yield {"op": "remove", "path": f"{path}/{_escaped(key)}"}
    for key, value in new.items():
        place = f"{path}/{_escaped(key)}"
        if key in old:
            yield from difference(old[key], value, place)
        else:
            yield {"op": "add", "path": place, "value": value}


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")

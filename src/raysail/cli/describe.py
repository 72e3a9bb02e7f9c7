"""An object as text for people: its identity, its fields as indented lines, its events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from raysail.cli.output import age, table

_WIDTH = 30


def describe_object(obj: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> str:
    """The description of one object; `events` are events.k8s.io/v1 objects about it."""
    metadata = obj["metadata"]
    lines = [_line("Name:", metadata["name"])]
    if metadata.get("namespace"):
        lines.append(_line("Namespace:", metadata["namespace"]))
    lines += _mapping("Labels:", metadata.get("labels"))
    lines += _mapping("Annotations:", metadata.get("annotations"))
    lines.append(_line("API Version:", obj.get("apiVersion", "")))
    lines.append(_line("Kind:", obj.get("kind", "")))
    lines.append(_line("Created:", f"{metadata.get('creationTimestamp')} ({age(metadata.get('creationTimestamp'))} ago)"))
    if owners := metadata.get("ownerReferences"):
        lines.append(_line("Controlled By:", ", ".join(f"{o['kind']}/{o['name']}" for o in owners)))
    for key, value in obj.items():
        if key not in ("metadata", "apiVersion", "kind"):
            lines.append(f"{_title(key)}:")
            lines += _tree(value, 1)
    lines += (
        ["Events:", _indent(table(["TYPE", "REASON", "AGE", "FROM", "MESSAGE"], _event_rows(events)))] if events else ["Events:  <none>"]
    )
    return "\n".join(lines)


def event_lines(events: Sequence[Mapping[str, Any]], *, with_object: bool) -> list[list[object]]:
    """Rows of `raysail events`, oldest first: last seen, type, reason, object, message (with the number of times)."""
    rows: list[list[object]] = []
    for event in sorted(events, key=_last_seen):
        about = event.get("regarding") or {}
        rows.append(
            [
                age(_last_seen(event)),
                event.get("type"),
                event.get("reason"),
                *([f"{about.get('kind', '').lower()}/{about.get('name')}"] if with_object else []),
                _note(event),
            ]
        )
    return rows


def _event_rows(events: Sequence[Mapping[str, Any]]) -> list[list[object]]:
    return [
        [
            e.get("type"),
            e.get("reason"),
            age(_last_seen(e)),
            e.get("reportingController") or (e.get("deprecatedSource") or {}).get("component"),
            _note(e),
        ]
        for e in sorted(events, key=_last_seen)
    ]


def _last_seen(event: Mapping[str, Any]) -> str:
    series = event.get("series") or {}
    found = (
        series.get("lastObservedTime")
        or event.get("deprecatedLastTimestamp")
        or event.get("eventTime")
        or event["metadata"].get("creationTimestamp")
    )
    return str(found or "")


def _note(event: Mapping[str, Any]) -> str:
    count = (event.get("series") or {}).get("count") or event.get("deprecatedCount") or 1
    return f"{event.get('note', '')}{f' (x{count})' if count > 1 else ''}"


def _line(title: str, value: object) -> str:
    return f"{title:<16}{value}"


def _mapping(title: str, values: Mapping[str, str] | None) -> Iterator[str]:
    if not values:
        yield _line(title, "<none>")
        return
    for index, (key, value) in enumerate(sorted(values.items())):
        text = value if len(value) <= 100 else f"{value[:97]}..."
        yield _line(title if index == 0 else "", f"{key}: {text}")


def _tree(value: Any, depth: int) -> Iterator[str]:
    pad = "  " * depth
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if isinstance(inner, Mapping | list) and inner:
                yield f"{pad}{_title(key)}:"
                yield from _tree(inner, depth + 1)
            else:
                yield f"{pad}{_title(key) + ':':<{_WIDTH - 2 * depth}} {_scalar(inner)}"
    elif isinstance(value, list):
        for item in value:
            if isinstance(item, Mapping | list):
                inner = list(_tree(item, depth + 1))
                yield f"{pad}- {inner[0].strip()}" if inner else f"{pad}- {{}}"
                yield from inner[1:]
            else:
                yield f"{pad}- {_scalar(item)}"
    else:
        yield f"{pad}{_scalar(value)}"


def _scalar(value: Any) -> str:
    return "<none>" if value in ({}, [], None) else str(value)


def _title(key: str) -> str:
    words = "".join(f" {c}" if c.isupper() else c for c in key)
    return words[:1].upper() + words[1:]


def _indent(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())

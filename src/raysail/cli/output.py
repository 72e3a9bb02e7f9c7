"""Printing for people and programs: tables, YAML, JSON, names; colours only on a terminal that wants them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click

_COLOURS = {
    "Running": "green",
    "Succeeded": "green",
    "Complete": "green",
    "Ready": "green",
    "Pending": "yellow",
    "Suspended": "yellow",
    "Failed": "red",
    "Error": "red",
}


def colour_wanted() -> bool:
    """Whether standard output is a terminal and nobody asked for plain text (NO_COLOR)."""
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ


def table(headers: Sequence[str], rows: Sequence[Sequence[object]], *, no_headers: bool = False) -> str:
    """Columns as kubectl prints them: left aligned, three spaces apart."""
    texts = [[_cell(value) for value in row] for row in rows]
    lines = texts if no_headers else [list(headers), *texts]
    widths = [max((len(line[column]) for line in lines), default=0) for column in range(len(headers))]
    styled = []
    for index, line in enumerate(lines):
        padded = [text.ljust(width) for text, width in zip(line, widths, strict=True)]
        if colour_wanted() and (no_headers or index):
            padded = [click.style(text, fg=_COLOURS[text.strip()]) if text.strip() in _COLOURS else text for text in padded]
        styled.append("   ".join(padded).rstrip())
    return "\n".join(styled)


def _cell(value: object) -> str:
    return "<none>" if value is None or value == "" else str(value)


def yaml_text(document: Any) -> str:
    """YAML in the order of the object's keys."""
    import yaml

    return str(
        yaml.dump(
            document, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper), sort_keys=False, default_flow_style=False, allow_unicode=True
        )
    )


def json_text(document: Any) -> str:
    """Indented JSON."""
    import orjson

    return orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()


def age(timestamp: str | None, now: datetime | None = None) -> str:
    """How long ago, as kubectl says it (duration.HumanDuration)."""
    if not timestamp:
        return "<unknown>"
    return duration(((now or datetime.now(UTC)) - datetime.fromisoformat(timestamp)).total_seconds())


def duration(total_seconds: float) -> str:
    """HumanDuration of k8s.io/apimachinery pkg/util/duration."""
    seconds = max(0, int(total_seconds))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if seconds < 120:
        return f"{seconds}s"
    if minutes < 10:
        return f"{minutes}m{seconds % 60}s" if seconds % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    if days < 730:
        return f"{days}d"
    return f"{days // 365}y"

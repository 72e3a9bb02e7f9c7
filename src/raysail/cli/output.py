"""Printing for people and programs: tables, YAML, JSON, names; colours only on a terminal that wants them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click

from raysail.api.durations import human_duration

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


def table(headers: Sequence[str], rows: Sequence[Sequence[object]], *, no_headers: bool = False, blank: str = "<none>") -> str:
    """Columns as kubectl prints them: left aligned, three spaces apart; `blank` stands where there is nothing."""
    texts = [[blank if value is None or value == "" else str(value) for value in row] for row in rows]
    lines = texts if no_headers else [list(headers), *texts]
    widths = [max((len(line[column]) for line in lines), default=0) for column in range(len(headers))]
    styled = []
    for index, line in enumerate(lines):
        padded = [text.ljust(width) for text, width in zip(line, widths, strict=True)]
        if colour_wanted() and (no_headers or index):
            padded = [click.style(text, fg=_COLOURS[text.strip()]) if text.strip() in _COLOURS else text for text in padded]
        styled.append("   ".join(padded).rstrip())
    return "\n".join(styled)


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
    return human_duration(((now or datetime.now(UTC)) - datetime.fromisoformat(timestamp)).total_seconds())


def duration_since_start(pid: int) -> str:
    """How long a process of this machine has run."""
    with open("/proc/uptime") as uptime, open(f"/proc/{pid}/stat") as stat:  # noqa: PTH123 - two reads of the kernel's own files
        running = float(uptime.read().split()[0]) - int(stat.read().rpartition(") ")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    return human_duration(running)

"""`make bench`: runs all, or those named (`python -m bench cli api`), and writes docs/performance.md when all ran."""

from __future__ import annotations

import importlib
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path

from bench.figure import Figure, report

MODULES = {
    "startup": "Start, idle, command line",
    "api": "Embedded API",
    "admission": "Submit to admitted",
    "planner": "The planner alone",
    "queue_load": "Kueue's scalability load",
    "ray_job": "Ray jobs on real Ray",
}
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
MARK = "<!-- figures -->"


def main() -> None:
    wanted = sys.argv[1:] or list(MODULES)
    found: dict[str, list[Figure]] = {}
    for name in wanted:
        print(f"== {MODULES[name]}", flush=True)
        found[name] = importlib.import_module(f"bench.{name}").run()
        report(found[name])
    if len(wanted) == len(MODULES):
        write(found)


def write(found: dict[str, list[Figure]]) -> None:
    """Replaces what stands below the mark in docs/performance.md."""
    head = PAGE.read_text().partition(MARK)[0]
    lines = [
        MARK,
        "",
        f"`make bench`, {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}. The machine is shared: a ratio means more than a time.",
    ]
    for name, figures in found.items():
        lines += [
            "",
            f"## {MODULES[name]}",
            "",
            "| figure | measured | target | | beside it |",
            "|---|---|---|---|---|",
            *(f.row() for f in figures),
        ]
    PAGE.write_text(head + "\n".join(lines) + "\n")
    print(f"written: {PAGE.relative_to(PAGE.parents[1])}")


if __name__ == "__main__":
    main()

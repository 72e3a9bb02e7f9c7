"""Holds the planner against Kueue's decision tables: `python -m tests.conformance.kueue [--folder DIR] [-k FILTER] [-v]`.

Prints each failing case readably, a line per group, and closes with `N passed, N failed, N skipped`. A case is skipped where the corpus calls it
unusable or where no runner feeds its kind of table (counted apart in the group's line).
"""

from __future__ import annotations

import argparse
import importlib
import os
import pkgutil
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from tests.conformance import decisions
from tests.conformance.decisions.corpus import Case, Skip, cases, files

Runner = Callable[[Case], list[str]]


def runners() -> dict[str, dict[str, Runner]]:
    """Group to test to runner: of every module under `decisions` that has RUNNERS (for the group of its name, or by group)."""
    found: dict[str, dict[str, Runner]] = {}
    for found_module in pkgutil.iter_modules(decisions.__path__):
        name = found_module.name
        try:
            module = importlib.import_module(f"tests.conformance.decisions.{name}")
        except ImportError as error:  # its groups are then without a runner, which the totals show
            print(f"the runner {name} cannot be imported: {error}")
            continue
        served = getattr(module, "RUNNERS", None)
        if not served:
            continue
        if isinstance(next(iter(served.values())), dict):
            for group, tests in served.items():
                found.setdefault(group, {}).update(tests)
        else:
            found.setdefault(name, {}).update(served)
    return found


def run(folder: Path, pattern: str, *, verbose: bool) -> tuple[int, int, int]:
    """Runs everything that matches; (passed, failed, skipped)."""
    known = runners()
    total = [0, 0, 0]
    for group in sorted(path.name for path in folder.iterdir() if path.is_dir()):
        passed = failed = skipped = unserved = 0
        for path in files(folder, group):
            for case in cases(path):
                if pattern and pattern not in f"{group}/{case.test}/{case.id}":
                    continue
                runner = known.get(group, {}).get(case.test)
                if not case.usable or runner is None:
                    skipped += 1
                    unserved += case.usable
                    continue
                try:
                    found = runner(case)
                except Skip as reason:
                    skipped += 1
                    if verbose:
                        print(f"SKIPPED {case.id}: {reason}")
                    continue
                except Exception:  # a case that breaks the planner is a failed case, with its trace
                    found = traceback.format_exc(limit=-4).splitlines()
                if found:
                    failed += 1
                    print(f"FAILED {case.id}")
                    for line in found if verbose else found[:8]:
                        print(f"    {line}")
                else:
                    passed += 1
        if passed or failed or (skipped and not pattern):
            print(f"{group}: {passed} passed, {failed} failed, {skipped} skipped ({unserved} without a runner)")
        for at, count in enumerate((passed, failed, skipped)):
            total[at] += count
    return total[0], total[1], total[2]


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, default=Path(os.environ.get("CONFORMANCE", "../shared/conformance")))
    parser.add_argument("-k", dest="pattern", default="")
    parser.add_argument("-v", dest="verbose", action="store_true")
    options = parser.parse_args()
    folder = options.folder / "kueue"
    if not folder.is_dir():
        print(f"the decision tables are not at {folder}; name their folder with CONFORMANCE=DIR")
        return 2
    passed, failed, skipped = run(folder, options.pattern, verbose=options.verbose)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""The conformance suites as tests: what `make conformance SUITE=...` counts must not fall below what docs/parity.md says.

Each needs ../shared/conformance (or the folder that CONFORMANCE names) and skips without it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.kubernetes import MISSING, assets

ROOT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("CONFORMANCE", ROOT.parent / "shared" / "conformance"))

pytestmark = pytest.mark.conformance


def run(suite: str, *arguments: str) -> tuple[int, int, int, str]:
    """(passed, failed, skipped, output)."""
    if not FOLDER.is_dir():
        pytest.skip(
            f"{FOLDER.name} is not here: the recordings of what the real systems did are kept outside of the repository (CONFORMANCE names their folder)"
        )
    command = [sys.executable, "-m", f"tests.conformance.{suite}", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | {"CONFORMANCE": str(FOLDER)}, capture_output=True, text=True, check=False)
    found = re.findall(r"(\d+) passed, (\d+) failed, (\d+) skipped", done.stdout)
    assert found, f"{suite} did not come to its end:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    passed, failed, skipped = map(int, found[-1])
    return passed, failed, skipped, done.stdout


@pytest.mark.parametrize(
    ("suite", "arguments", "least_share"),
    [
        ("api", (), 0.99),
        ("kueue", (), 0.97),
        ("queue", ("-k", "basics/"), 0.5),
        ("queue", ("-k", "visibility/"), 1.0),
    ],
)
def test_a_suite_does_as_the_real_system_did(suite: str, arguments: tuple[str, ...], least_share: float) -> None:
    passed, failed, _, output = run(suite, *arguments)
    assert passed / (passed + failed) >= least_share, output[-6000:]


@pytest.mark.parametrize("area", ["webhooks", "conversion", "visibility"])
def test_the_queue_on_a_real_kube_apiserver_does_as_kueue_did(area: str) -> None:
    """`make conformance SUITE=queue HOST=kube-apiserver` runs all areas there."""
    if assets("kube-controller-manager") is None:
        pytest.skip(MISSING)
    passed, failed, _, output = run("queue", "-k", f"{area}/", "--host", "kube-apiserver")
    assert (passed > 0, failed) == (True, 0), output[-6000:]

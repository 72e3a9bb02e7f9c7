"""The `api` suite: what a real kube-apiserver answered, against the embedded API.

    python -m tests.conformance.api [-k PATTERN] [-j N]

Starts an API process (and the controllers that a step with `gc` needs, when raysail has them), lets the suite's own driver replay its requests,
and prints each step that was answered otherwise. CONFORMANCE names the folder of the suites (default ../shared/conformance).
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import os
import re
import sys
from pathlib import Path

import yaml

from raysail.api.resources import STORAGE_CLASSES
from tests.support.embedded import ApiProcess, short_folder

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 20
_SUMMARY = re.compile(r"^(\d+) passed, (\d+) failed$")


def suite_folder() -> Path:
    """Where the suite lies."""
    return (ROOT / os.environ.get("CONFORMANCE", "../shared/conformance") / "api").resolve()


async def controllers(api: ApiProcess) -> asyncio.subprocess.Process | None:
    """The garbage collector and the namespace controller against the API, or None where this raysail has no operator process yet."""
    if importlib.util.find_spec("raysail.operator.process") is None:
        return None
    kubeconfig = api.kubeconfig()
    arguments = ["-m", "raysail.operator", "--kubeconfig", str(kubeconfig), "--controllers=gc,namespace"]
    with (api.folder / "controllers.log").open("ab") as log:
        return await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=log, stderr=log)


def areas_with(feature: str) -> str:
    """A pattern for the names of the cases that need it."""
    names = [
        f"{file.parent.name}/{file.stem}"
        for file in sorted((suite_folder() / "cases").rglob("*.yaml"))
        if (yaml.safe_load(file.read_text()) or {}).get("when") == feature
    ]
    return "|".join(f"^{name}$" for name in names)


async def check(pattern: str, jobs: int, extra: list[str]) -> tuple[int, int]:
    """Runs the driver against the API alone, then the cases that need a garbage collector with one; gives (passed, failed)."""
    suite = suite_folder()
    features = ["--with", "python"] if importlib.util.find_spec("kubernetes") is not None else []
    with short_folder(None) as folder:
        api = ApiProcess(folder, admission="")
        await api.start()
        async with api.client() as client:
            # The recorded server had no default StorageClass, which would show in each claim.
            await client.delete(STORAGE_CLASSES, "local-path")
        arguments = [
            "check",
            "--server",
            api.url,
            "--token",
            api.token,
            "--ca",
            str(api.ca),
            "--patience",
            str(PATIENCE_SECONDS),
            "-j",
            str(jobs),
        ]
        try:
            passed, failed = await drive(suite, [*arguments, *features, *(["-k", pattern] if pattern else []), *extra])
            collected = areas_with("gc")
            wanted = f"(?=.*({pattern}))({collected})" if pattern else collected
            helper = await controllers(api) if collected else None
            if helper is not None:
                try:
                    more = await drive(suite, [*arguments, "--with", "gc", "-k", wanted, *extra])
                    passed, failed = passed + more[0], failed + more[1]
                finally:
                    if helper.returncode is None:
                        helper.terminate()
                    else:
                        print(f"-- the controllers ended early with status {helper.returncode}", file=sys.stderr)
                    await helper.wait()
        finally:
            await api.stop()
            for name in ("api.log", "controllers.log"):
                log = folder / name
                if log.exists() and log.stat().st_size:
                    print(f"-- {name} ends with:\n" + log.read_text(errors="replace")[-3000:], file=sys.stderr)
    return passed, failed


async def drive(suite: Path, arguments: list[str]) -> tuple[int, int]:
    """One run of the driver: (passed, failed). Its lines go through as they come."""
    driver = await asyncio.create_subprocess_exec(sys.executable, "-m", "apicheck", *arguments, cwd=suite, stdout=asyncio.subprocess.PIPE)
    assert driver.stdout is not None
    passed = failed = 0
    async for raw in driver.stdout:
        line = raw.decode(errors="replace").rstrip("\n")
        if found := _SUMMARY.match(line):
            passed, failed = int(found[1]), int(found[2])
        else:
            print(line, flush=True)
    await driver.wait()
    return passed, failed


def main() -> int:
    """Prints failing steps and one line with the sums."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-k", dest="pattern", default="", help="only cases whose name matches")
    parser.add_argument("-j", dest="jobs", type=int, default=2, help="cases at once")
    options, extra = parser.parse_known_args()
    if not (suite_folder() / "apicheck").is_dir():
        print(f"skipped: no api suite in {suite_folder()}; set CONFORMANCE to the folder that holds it")
        print("0 passed, 0 failed, 1 skipped")
        return 0
    passed, failed = asyncio.run(check(options.pattern, options.jobs, extra))
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""The `ray` suite: what KubeRay's operator did, against the Ray controllers on the embedded API.

    python -m tests.conformance.ray [-k PATTERN] [-g GROUP] [-j N] [--pace P] [--save DIR]

For each group of operator settings: an API process, the controllers in that configuration (Ray, garbage collection, namespaces; the suite's driver
plays kubelet and Job controller and answers for Ray's dashboards), and the driver. Prints each case that came out otherwise.
CONFORMANCE names the folder of the suites (default ../shared/conformance).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import yaml

from raysail.api.resources import CUSTOM_RESOURCE_DEFINITIONS
from tests.support.embedded import ApiProcess, short_folder

ROOT = Path(__file__).parents[2]
_SUMMARY = re.compile(r"^(\d+) passed, (\d+) failed")
_DISABLED = ("ServiceAccounts", "RayRules", "QueueRules", "DefaultStorageClass")
"""Not there when the recordings were made: service accounts in Pods, the webhooks of KubeRay and Kueue, a storage class."""
_GATEWAY = ("gatewayclasses", "gateways", "httproutes", "grpcroutes", "referencegrants", "backendtlspolicies")


def conformance_folder() -> Path:
    """Where the suites lie."""
    return (ROOT / os.environ.get("CONFORMANCE", "../shared/conformance")).resolve()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def install_crds(api: ApiProcess) -> None:
    """The Gateway API, which incremental upgrades of RayServices use. Ray's own kinds are there already."""
    folder = conformance_folder() / "crds"
    async with api.client() as client:
        for name in _GATEWAY:
            for document in yaml.safe_load_all((folder / f"{name}.gateway.networking.k8s.io.yaml").read_text()):
                await client.create(CUSTOM_RESOURCE_DEFINITIONS, document)


@contextlib.asynccontextmanager
async def operator(api: ApiProcess, group: dict[str, Any], dashboard_port: int, name: str) -> AsyncIterator[None]:
    """The controllers in one configuration, as long as the context lasts."""
    suite = conformance_folder() / "ray"
    flags = [f"--config={suite / flag.split('=')[1]}" if flag.startswith("--config=") else flag for flag in (group.get("flags") or [])]
    environment = {
        **os.environ,
        **(group.get("env") or {}),
        "HTTP_PROXY": f"http://127.0.0.1:{dashboard_port}",
        "NO_PROXY": "127.0.0.1,localhost",
        "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}",
    }
    command = [sys.executable, "-m", "tests.conformance.ray_operator", "--kubeconfig", str(api.kubeconfig()), *flags]
    with (api.folder / f"operator-{name}.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(*command, env=environment, cwd=ROOT, stdout=log, stderr=log)
    try:
        yield
    finally:
        if process.returncode is not None:
            raise RuntimeError(f"the controllers ended by themselves with {process.returncode}; see operator-{name}.log in --logs DIR")
        process.terminate()
        await process.wait()


async def drive(api: ApiProcess, group: str, dashboard_port: int, options: argparse.Namespace) -> tuple[int, int]:
    """The driver over scenarios and samples of one group: (passed, failed)."""
    passed = failed = 0
    sources = [("ray/scenarios", group)]
    if group == "default" and not options.area:
        sources.append(("ray/recorded/samples", group))
    for source, name in sources:
        where = f"{source}/{options.area}" if options.area else source
        arguments = ["check", where, "--group", name, "--server", api.url, "--token", api.token, "--ca", str(api.ca)]
        arguments += ["--dashboard-port", str(dashboard_port), "--play", "gc,endpoints", "--out", "ray/recorded"]
        arguments += ["-j", str(options.jobs), "--pace", str(options.pace)]
        arguments += ["-k", options.pattern] if options.pattern else []
        arguments += ["--save", str(Path(options.save).absolute())] if options.save else []
        driver = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tracer", *arguments, cwd=conformance_folder(), stdout=asyncio.subprocess.PIPE, limit=2**24
        )
        assert driver.stdout is not None
        async for raw in driver.stdout:
            line = raw.decode(errors="replace").rstrip("\n")
            if found := _SUMMARY.match(line):
                passed, failed = passed + int(found[1]), failed + int(found[2])
            else:
                print(line, flush=True)
        await driver.wait()
    return passed, failed


async def check(options: argparse.Namespace) -> tuple[int, int]:
    """All groups one after the other."""
    groups: dict[str, Any] = yaml.safe_load((conformance_folder() / "ray" / "groups.yaml").read_text())
    passed = failed = 0
    for name, group in groups.items():
        if options.group and name not in options.group.split(","):
            continue
        with short_folder(None) as folder:
            api = ApiProcess(folder, disabled_admission=_DISABLED)
            await api.start()
            try:
                await install_crds(api)
                port = free_port()
                async with operator(api, group or {}, port, name):
                    one_passed, one_failed = await drive(api, name, port, options)
            finally:
                await api.stop()
                keep_logs(folder, options.logs)
        print(f"-- group {name}: {one_passed} passed, {one_failed} failed", flush=True)
        passed, failed = passed + one_passed, failed + one_failed
    return passed, failed


def keep_logs(folder: Path, target: str) -> None:
    """Copies the processes' logs to where somebody wants to read them."""
    if target:
        Path(target).mkdir(parents=True, exist_ok=True)
        for log in folder.glob("*.log"):
            (Path(target) / log.name).write_bytes(log.read_bytes())


def main() -> int:
    """Prints failing cases and one line with the sums."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-k", dest="pattern", default="", help="only cases whose AREA/NAME contains this")
    parser.add_argument("-g", dest="group", default="", help="only these groups of settings, separated by commas")
    parser.add_argument("-a", dest="area", default="", help="only this area: raycluster, rayjob, ...")
    parser.add_argument("-j", dest="jobs", type=int, default=8, help="cases at once")
    parser.add_argument("--pace", type=float, default=1.0, help="multiplies the driver's waiting times")
    parser.add_argument("--save", default="", help="a folder for the fresh recordings")
    parser.add_argument("--logs", default="", help="a folder for the logs of API and controllers")
    options = parser.parse_args()
    if not (conformance_folder() / "tracer").is_dir():
        print(f"skipped: no ray suite in {conformance_folder()}; set CONFORMANCE to the folder that holds it")
        print("0 passed, 0 failed, 1 skipped")
        return 0
    passed, failed = asyncio.run(check(options))
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

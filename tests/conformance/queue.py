"""The `queue` suite: what the real Kueue did, against the queue's controllers on the embedded API or (HOST=kube-apiserver) on a real one.

    python -m tests.conformance.queue [-k PATTERN] [-g GROUP] [-j N] [--pace P] [--save DIR] [--logs DIR] [--host embedded|kube-apiserver]

For each group of settings: an API process, the controllers in that configuration (queue, Job, Deployment, ReplicaSet, StatefulSet, garbage collection,
namespaces; the suite's driver plays kubelet and everything else), and the driver. On kube-apiserver, `raysail operator --only queue` brings its CRDs
and serves its webhooks, and Kubernetes' own controllers run. Prints each case that came out otherwise.
CONFORMANCE names the folder of the suites (default ../shared/conformance).
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import yaml

from raysail.api.crds import RAY_KINDS
from raysail.api.resources import CUSTOM_RESOURCE_DEFINITIONS
from raysail.operator.settings import KNOWN
from raysail.operator.webhooks import registration
from tests.conformance.ray import ROOT, conformance_folder, free_port, keep_logs
from tests.support.embedded import ApiProcess, short_folder
from tests.support.kubernetes import MISSING, Kubernetes, assets

_SUMMARY = re.compile(r"^(\d+) passed, (\d+) failed")
_CONTROLLERS = ("queue", "job", "deployment", "replicaset", "statefulset", "cronjob", "gc", "namespace")
_DISABLED = ("ServiceAccounts",)
"""As in the kube-apiserver on which the suite was recorded (and in every envtest)."""
_KUBERNETES_CONTROLLERS = (
    "garbage-collector-controller",
    "namespace-controller",
    "job-controller",
    "deployment-controller",
    "replicaset-controller",
    "statefulset-controller",
)
"""As when it was recorded."""
_READY_SECONDS = 90
_WAIVERS = Path(__file__).parent / "waivers.yaml"
_SERIAL = ("podsready-block",)
"""Groups whose scenarios hinder each other: one at a time."""


def controllers() -> list[str]:
    """Which of the controllers that the suite needs there are."""
    return [name for name in _CONTROLLERS if name in KNOWN]


Host = Callable[[Path, dict[str, Any], str, int], contextlib.AbstractAsyncContextManager[ApiProcess | Kubernetes]]
"""(folder, settings, group, metrics port): API server and controllers as long as the context lasts."""


async def install_crds(api: ApiProcess | Kubernetes) -> None:
    """Kinds of jobs and of autoscaling that others bring; Kueue's and Ray's are there already."""
    async with api.client() as client:
        for file in sorted((conformance_folder() / "crds").glob("*.yaml")):
            if ".gateway." in file.name:
                continue
            for document in yaml.safe_load_all(file.read_text()):
                await client.create(CUSTOM_RESOURCE_DEFINITIONS, document)


def configuration(groups: dict[str, Any], name: str) -> dict[str, Any]:
    """The group's settings over the default ones, as a Configuration of Kueue."""
    merged = {**groups["default"], **(groups[name] or {})}
    return {"apiVersion": "config.kueue.x-k8s.io/v1beta2", "kind": "Configuration", **merged}


@contextlib.asynccontextmanager
async def operator(
    api: ApiProcess | Kubernetes, settings: dict[str, Any], name: str, metrics_port: int, flags: Sequence[str]
) -> AsyncIterator[None]:
    """The controllers in one configuration, as long as the context lasts."""
    file = api.folder / f"kueue-{name}.yaml"
    file.write_text(yaml.safe_dump(settings))
    command = [sys.executable, "-m", "raysail.operator", "--kubeconfig", str(api.kubeconfig()), "--queue-config", str(file)]
    command += [*flags, "--metrics-addr", f"127.0.0.1:{metrics_port}"]
    with (api.folder / f"operator-{name}.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *command, env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}, cwd=ROOT, stdout=log, stderr=log
        )
    try:
        yield
    finally:
        if process.returncode is not None:
            raise RuntimeError(f"the controllers ended by themselves with {process.returncode}; see operator-{name}.log in --logs DIR")
        process.terminate()
        await process.wait()


@contextlib.asynccontextmanager
async def embedded(folder: Path, settings: dict[str, Any], name: str, metrics_port: int) -> AsyncIterator[ApiProcess]:
    """The embedded API, our controllers for everything."""
    api = ApiProcess(folder, disabled_admission=_DISABLED, queue_configuration=settings)
    await api.start()
    try:
        await install_crds(api)
        flags = ["--controllers", ",".join(controllers()), "--extension-socket", str(folder / "controllers.sock")]
        async with operator(api, settings, name, metrics_port, flags):
            yield api
    finally:
        await api.stop()


@contextlib.asynccontextmanager
async def kube_apiserver(folder: Path, settings: dict[str, Any], name: str, metrics_port: int) -> AsyncIterator[Kubernetes]:
    """The real API server and Kubernetes' own controllers; of ours only the queue."""
    api = Kubernetes(folder)
    try:
        await api.start()
        await install_crds(api)
        async with api.client() as client:
            await registration.install_crds(client, [kind.crd_name for kind in RAY_KINDS], None)
        flags = ["--only=queue", "--install", "--webhook-address=127.0.0.1:0"]
        async with operator(api, settings, name, metrics_port, flags):
            async with asyncio.timeout(_READY_SECONDS):
                while not await ready(metrics_port):
                    await asyncio.sleep(0.2)
            await api.start_controllers(_KUBERNETES_CONTROLLERS)
            yield api
    finally:
        await api.stop()


async def ready(metrics_port: int) -> bool:
    """Whether the controllers run: CRDs, webhooks and informers are there."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", metrics_port)
    except OSError:
        return False
    writer.write(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    answer = await reader.read()
    writer.close()
    return b" 200 " in answer[:20]


HOSTS: dict[str, Host] = {"embedded": embedded, "kube-apiserver": kube_apiserver}


def waivers(folder: Path, host: str) -> Path:
    """A file of the suite's waivers and those of ours that hold on this host."""
    theirs = yaml.safe_load((conformance_folder() / "queue" / "waivers.yaml").read_text()) or []
    ours = [each for each in yaml.safe_load(_WAIVERS.read_text()) if each.pop("host", host) == host]
    path = folder / "waivers.yaml"
    path.write_text(yaml.safe_dump([*theirs, *ours]))
    return path


async def drive(api: ApiProcess | Kubernetes, group: str, metrics_port: int, options: argparse.Namespace, waived: Path) -> tuple[int, int]:
    """The driver over the scenarios of one group: (passed, failed)."""
    arguments = ["check", "queue/scenarios", "--suite", "queue/suite.yaml", "--group", group, "--out", "queue/recorded"]
    arguments += ["--server", api.url, "--token", api.token, "--ca", str(api.ca), "--metrics", f"http://127.0.0.1:{metrics_port}/metrics"]
    arguments += ["-j", "1" if group in _SERIAL else str(options.jobs), "--pace", str(options.pace), "--waivers", str(waived)]
    arguments += ["-k", options.pattern] if options.pattern else []
    arguments += ["--save", str(Path(options.save).absolute())] if options.save else []
    passed = failed = 0
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


def wanted(groups: dict[str, Any], options: argparse.Namespace) -> list[str]:
    """Groups that have a scenario which was asked for."""
    folder = conformance_folder() / "queue" / "scenarios"
    found = set()
    for file in folder.rglob("*.yaml"):
        if options.pattern in f"{file.parent.name}/{file.stem}":
            needs = re.search(r"^needs: *(\S+)", file.read_text(), re.MULTILINE)
            found.add(needs[1] if needs else "default")
    return [name for name in groups if name in found and (not options.group or name in options.group.split(","))]


async def check(options: argparse.Namespace) -> tuple[int, int]:
    """All groups one after the other."""
    groups: dict[str, Any] = yaml.safe_load((conformance_folder() / "queue" / "groups.yaml").read_text())
    passed = failed = 0
    for name in wanted(groups, options):
        with short_folder(None) as folder:
            port = free_port()
            try:
                async with HOSTS[options.host](folder, configuration(groups, name), name, port) as api:
                    one_passed, one_failed = await drive(api, name, port, options, waivers(folder, options.host))
            finally:
                keep_logs(folder, options.logs)
        print(f"-- group {name}: {one_passed} passed, {one_failed} failed", flush=True)
        passed, failed = passed + one_passed, failed + one_failed
    return passed, failed


def main() -> int:
    """Prints failing cases and one line with the sums."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-k", dest="pattern", default="", help="only cases whose AREA/NAME contains this")
    parser.add_argument("-g", dest="group", default="", help="only these groups of settings, separated by commas")
    parser.add_argument("-j", dest="jobs", type=int, default=8, help="cases at once")
    parser.add_argument("--pace", type=float, default=1.0, help="multiplies the driver's waiting times")
    parser.add_argument("--save", default="", help="a folder for the fresh recordings")
    parser.add_argument("--logs", default="", help="a folder for the logs of API and controllers")
    parser.add_argument("--host", choices=tuple(HOSTS), default=os.environ.get("HOST") or "embedded", help="which API server (HOST)")
    options = parser.parse_args()
    if not (conformance_folder() / "queue").is_dir():
        print(f"skipped: no queue suite in {conformance_folder()}; set CONFORMANCE to the folder that holds it")
        print("0 passed, 0 failed, 1 skipped")
        return 0
    if options.host == "kube-apiserver" and assets("kube-controller-manager") is None:
        print(f"skipped: the queue suite on kube-apiserver {MISSING}")
        print("0 passed, 0 failed, 1 skipped")
        return 0
    passed, failed = asyncio.run(check(options))
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

"""Ray jobs on real Ray: submit to first line with its stages, beside bare Ray; a worker joins; a dead node is noticed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.figure import Figure
from bench.instance import instance
from raysail.api.errors import StatusError
from raysail.api.resources import NAMESPACES, PODS, RAY_CLUSTERS, RAY_JOBS, WORKLOADS
from raysail.cli.connection import Api
from raysail.cli.following import job_server
from raysail.instance.home import Home
from raysail.instance.processes import wait_until

LIMIT_SECONDS = 120.0
LINE = "first user line"
CLUSTER = "joins"
PLACE = "bench"
"""A namespace without a queue: a queued cluster that changes its size starts anew (Kueue)."""
STAGES = ("admitted", "head Pod started", "head answers", "job submitted", "first line")


def run() -> list[Figure]:
    with instance("--nodes", "1x cpu=8,memory=16Gi") as home:
        stages = _submit(home)
        joined, noticed = _worker(home)
    rival = _bare_ray()
    told = ", ".join(f"{name} {stages[name]:.1f}" for name in STAGES if name in stages)
    return [
        Figure(
            "submit to first user line, cold", stages["first line"], "s", 5, rival=f"bare ray start + ray job submit: {rival:.1f} s; {told}"
        ),
        Figure("a worker joins (Pod created to ALIVE)", joined, "s", 2.5),
        Figure("a dead Ray node is noticed", noticed, "s", 2),
    ]


def _submit(home: Home) -> dict[str, float]:
    """Seconds from the command's start to each stage."""
    stages: dict[str, float] = {}
    started = time.monotonic()
    over = threading.Event()
    watching = threading.Thread(target=_watch_stages, args=(home, "bench", started, stages, over))
    watching.start()
    try:
        command = [
            sys.executable,
            "-m",
            "raysail",
            "submit",
            "--name",
            "bench",
            "--working-dir",
            "",
            "--",
            "python",
            "-c",
            f"print({LINE!r})",
        ]
        stages["first line"] = _first_line(command, os.environ | {"RAYSAIL_HOME": str(home.path)}, started)
    finally:
        over.set()
        watching.join()
    return stages


def _first_line(command: list[str], environment: dict[str, str], started: float) -> float:
    """Seconds until the program's line is printed; waits for the end."""
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        lines = []
        seconds = 0.0
        for line in process.stdout:
            lines.append(line)
            if line.strip() == LINE and not seconds:
                seconds = time.monotonic() - started
    if not seconds or process.returncode:
        raise RuntimeError(f"{' '.join(command[:4])} failed:\n{''.join(lines)}")
    return seconds


def _watch_stages(home: Home, name: str, started: float, stages: dict[str, float], over: threading.Event) -> None:
    api = Api(home, 10.0)
    while not over.wait(0.02):
        reached = time.monotonic() - started
        for stage in _reached(api, name) - stages.keys():
            stages[stage] = reached


def _reached(api: Api, name: str) -> set[str]:
    try:
        status = api.get(RAY_JOBS, name, "default").get("status") or {}
    except StatusError:
        return set()  # not there yet
    pods = api.list(PODS, "default", labelSelector="ray.io/node-type=head")
    states = [s.get("state") or {} for p in pods for s in (p.get("status") or {}).get("containerStatuses") or ()]
    conditions = [c for w in api.list(WORKLOADS, "default") for c in (w.get("status") or {}).get("conditions") or ()]
    facts = {
        "admitted": any(c["type"] == "Admitted" and c["status"] == "True" for c in conditions),
        "head Pod started": any("running" in state for state in states),
        "head answers": status.get("jobDeploymentStatus") == "Running",
        "job submitted": bool(status.get("jobStatus")),
    }
    return {stage for stage, true in facts.items() if true}


def _worker(home: Home) -> tuple[float, float]:
    """(seconds from a worker's Pod to ALIVE, seconds from its raylet's death to DEAD), both as Ray's GCS says."""
    api = Api(home)
    api.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": PLACE}})
    api.create(RAY_CLUSTERS, _cluster(), PLACE)
    if not wait_until(lambda: len(_nodes(api, "ALIVE")) == 1, LIMIT_SECONDS, 0.1):
        raise TimeoutError("the head did not start")
    patch = {"spec": {"workerGroupSpecs": [_workers(1)]}}
    api.merge(RAY_CLUSTERS.path(PLACE, CLUSTER), patch)
    created = _until(lambda: bool(_workers_of(api)), "a worker's Pod")
    joined = _until(lambda: len(_nodes(api, "ALIVE")) == 2, "the worker in the GCS")
    uid = _workers_of(api)[0]["metadata"]["uid"]
    os.kill(_raylet(uid), signal.SIGKILL)
    killed = time.monotonic()
    dead = _until(lambda: bool(_nodes(api, "DEAD")), "the dead node in the GCS")
    return joined - created, dead - killed


def _until(condition: Callable[[], bool], what: str) -> float:
    """When the condition came true (time.monotonic)."""
    if not wait_until(condition, LIMIT_SECONDS, 0.02):
        raise TimeoutError(f"waited {LIMIT_SECONDS:.0f} s for {what}")
    return time.monotonic()


def _cluster() -> dict[str, Any]:
    head = {"rayStartParams": {}, "template": _template("ray-head")}
    spec = {"headGroupSpec": head, "workerGroupSpecs": [_workers(0)]}
    return {"apiVersion": RAY_CLUSTERS.api_version, "kind": RAY_CLUSTERS.kind, "metadata": {"name": CLUSTER}, "spec": spec}


def _workers(replicas: int) -> dict[str, Any]:
    counts = {"replicas": replicas, "minReplicas": 0, "maxReplicas": 2}
    return {"groupName": "workers", "rayStartParams": {}, "template": _template("ray-worker")} | counts


def _template(name: str) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": name, "image": "rayproject/ray", "resources": {"limits": {"cpu": "1", "memory": "2Gi"}}}]}}


def _workers_of(api: Api) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.list(PODS, PLACE, labelSelector=f"ray.io/cluster={CLUSTER},ray.io/node-type=worker")
    return found


def _nodes(api: Api, state: str) -> list[dict[str, Any]]:
    """The cluster's nodes in that state, from Ray's state API."""
    found = job_server(api, PLACE, CLUSTER)
    if found is None:
        return []
    address, token = found
    request = urllib.request.Request(f"{address}/api/v0/nodes", headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            nodes = json.loads(answer.read())["data"]["result"]["result"]
    except (OSError, KeyError, ValueError):
        return []  # the dashboard is not there yet
    return [node for node in nodes if node["state"] == state]


def _raylet(pod_uid: str) -> int:
    """The pid of the raylet in that Pod."""
    for entry in Path("/proc").iterdir():
        try:
            if (
                entry.name.isdigit()
                and (entry / "comm").read_text().strip() == "raylet"
                and pod_uid.encode() in (entry / "environ").read_bytes()
            ):
                return int(entry.name)
        except OSError:
            continue  # gone meanwhile
    raise LookupError(f"no raylet in Pod {pod_uid}")


def _bare_ray() -> float:
    """Seconds from `ray start --head` to the first line of a program given to `ray job submit`, without raysail."""
    ray = str(Path(sys.executable).parent / "ray")
    gcs, dashboard, client = _free_ports(3)
    with tempfile.TemporaryDirectory(prefix="ray-") as folder:
        environment = os.environ | {"RAY_ADDRESS": f"http://127.0.0.1:{dashboard}", "RAY_USAGE_STATS_ENABLED": "0"}
        start = [ray, "start", "--head", "--block", "--node-ip-address=127.0.0.1", f"--port={gcs}", f"--dashboard-port={dashboard}"]
        start += [f"--ray-client-server-port={client}", "--num-cpus=1", f"--temp-dir={folder}"]
        started = time.monotonic()
        # A group of its own: `ray stop` would end every Ray on this machine.
        head = subprocess.Popen(start, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            _until(lambda: _answers(dashboard), "bare Ray's job server")
            submit = [ray, "job", "submit", "--", sys.executable, "-c", f"print({LINE!r})"]
            return _first_line(submit, environment, started)
        finally:
            head.terminate()
            try:
                head.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(head.pid, signal.SIGKILL)
                head.wait()


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/jobs/", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


if __name__ == "__main__":
    from bench.figure import report

    report(run())

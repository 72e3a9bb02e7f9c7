"""kill -9 at random moments while jobs come and go: nothing acknowledged is lost, nothing runs twice at once, no quota is exceeded, nothing is orphaned."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from raysail.api.errors import StatusError, is_already_exists
from raysail.api.quantity import parse_milli
from raysail.api.resources import CLUSTER_QUEUES, JOBS, LOCAL_QUEUES, PODS, RESOURCE_FLAVORS, WORKLOADS, Resource
from raysail.cli.connection import Api
from raysail.instance.home import InstanceError
from raysail.instance.processes import read_pid_file, wait_until
from tests.system.instance import Instance, instance

KILLS = 50
QUOTA_MILLI = 3000
SEED = 20261124
LIMIT_SECONDS = 300.0

# Holds a lock for as long as it lives: a second run of the same job at the same time finds it taken and says so.
PROGRAM = """
exec 9>"$FOLDER/$NAME.lock"
flock -n 9 || { echo "$NAME" >> "$FOLDER/twice"; exit 1; }
echo start >> "$FOLDER/$NAME.runs"
sleep $SECONDS_TO_RUN
echo "$NAME" >> "$FOLDER/done"
"""


class Load:
    """Submits jobs and checks the quota, through an API that goes away and comes back."""

    def __init__(self, subject: Instance, folder: Path, dice: random.Random) -> None:
        self.subject, self.folder, self.dice = subject, folder, dice
        self.acknowledged: list[str] = []
        self.highest_milli = 0
        self.faults: list[str] = []
        self.stop = threading.Event()

    def persist(self, resource: Resource, body: dict[str, Any], namespace: str | None = None) -> bool:
        """Creates until it is acknowledged; False when the test is over before."""
        whole = {"apiVersion": resource.api_version, "kind": resource.kind} | body
        while not self.stop.is_set():
            try:
                Api(self.subject.home, 10.0).create(resource, whole, namespace)
                return True
            except StatusError as error:
                if is_already_exists(error):
                    return True  # the answer to an earlier try was lost, the object was not
                if error.code < 500:
                    raise
            except (InstanceError, OSError):
                pass  # the API is being started again
            self.stop.wait(0.05)
        return False

    def submit(self) -> None:
        number = 0
        while not self.stop.is_set():
            name = f"job-{number}"
            if self.persist(JOBS, self._job(name), "default"):
                self.acknowledged.append(name)
            number += 1
            self.stop.wait(self.dice.uniform(0.1, 0.4))

    def watch_quota(self) -> None:
        while not self.stop.is_set():
            try:
                workloads = Api(self.subject.home, 10.0).list(WORKLOADS, "default")
            except (InstanceError, StatusError, OSError):
                self.stop.wait(0.05)
                continue
            used = sum(_reserved_milli(w) for w in workloads)
            self.highest_milli = max(self.highest_milli, used)
            if used > QUOTA_MILLI:
                self.faults.append(f"{used} millicores reserved of {QUOTA_MILLI}")
            self.stop.wait(0.05)

    def _job(self, name: str) -> dict[str, Any]:
        env = [
            {"name": k, "value": v}
            for k, v in (("NAME", name), ("FOLDER", str(self.folder)), ("SECONDS_TO_RUN", f"{self.dice.uniform(0.2, 1.0):.2f}"))
        ]
        container = {
            "name": "main",
            "image": "any",
            "command": ["bash", "-c", PROGRAM],
            "env": env,
            "resources": {"requests": {"cpu": "1"}},
            "volumeMounts": [{"name": "shared", "mountPath": str(self.folder)}],
        }
        pod = {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "containers": [container],
            "volumes": [{"name": "shared", "hostPath": {"path": str(self.folder)}}],
        }
        return {
            "metadata": {"name": name, "labels": {"kueue.x-k8s.io/queue-name": "crash"}},
            "spec": {"suspend": True, "backoffLimit": 20, "template": {"spec": pod}},
        }


def _reserved_milli(workload: dict[str, Any]) -> int:
    conditions = {c["type"]: c["status"] for c in (workload.get("status") or {}).get("conditions") or ()}
    if conditions.get("QuotaReserved") != "True" or conditions.get("Finished") == "True":
        return 0
    assignments = (workload["status"].get("admission") or {}).get("podSetAssignments") or ()
    return sum(parse_milli((a.get("resourceUsage") or {}).get("cpu", "0")) for a in assignments)


@pytest.mark.slow
def test_fifty_kills_lose_nothing_and_start_nothing_twice(tmp_path: Path) -> None:
    dice = random.Random(SEED)
    with instance("--nodes", "2x cpu=8,memory=16Gi") as subject:
        load = Load(subject, tmp_path, dice)
        flavor = {"name": "any", "resources": [{"name": "cpu", "nominalQuota": f"{QUOTA_MILLI}m"}]}
        load.persist(RESOURCE_FLAVORS, {"metadata": {"name": "any"}})
        queue = {"namespaceSelector": {}, "resourceGroups": [{"coveredResources": ["cpu"], "flavors": [flavor]}]}
        load.persist(CLUSTER_QUEUES, {"metadata": {"name": "crash"}, "spec": queue})
        load.persist(LOCAL_QUEUES, {"metadata": {"name": "crash"}, "spec": {"clusterQueue": "crash"}}, "default")
        submitting, watching = threading.Thread(target=load.submit), threading.Thread(target=load.watch_quota)
        watching.start()
        submitting.start()
        try:
            for _ in range(KILLS):
                _kill_one(subject, dice)
                time.sleep(dice.uniform(0.2, 1.5))  # the moment of the next kill is meant to be random
        finally:
            load.stop.set()
            submitting.join()
        _everything_ends(subject, load)
        watching.join()
        done = (tmp_path / "done").read_text().split()
        assert not load.faults, load.faults
        assert not (tmp_path / "twice").exists(), (tmp_path / "twice").read_text()
        assert set(load.acknowledged) <= set(done), (
            f"never ran to their end: {sorted(set(load.acknowledged) - set(done))}\n{subject.logs()}"
        )
        assert load.highest_milli > 0
        _leaves_no_pod_behind(subject)
        subject.run("down", "--force")
        assert wait_until(lambda: not subject.processes(), 15), f"orphans: {subject.processes()}"


def _kill_one(subject: Instance, dice: random.Random) -> None:
    victim = dice.choice(["apiserver", "operator", "node", "pod"])
    if victim == "pod":
        marked = [pid for pid in subject.processes() if _is_container(pid)]
        if marked:
            os.kill(dice.choice(marked), signal.SIGKILL)
        return
    process = read_pid_file(subject.home.run / f"{victim}.pid")
    if process is not None:
        process.signal(signal.SIGKILL)


def _is_container(pid: int) -> bool:
    """A program of one of this test's jobs, known by its environment."""
    try:
        return b"SECONDS_TO_RUN=" in (Path("/proc") / str(pid) / "environ").read_bytes()
    except OSError:
        return False


def _everything_ends(subject: Instance, load: Load) -> None:
    def over() -> bool:
        try:
            jobs = {j["metadata"]["name"]: j for j in Api(subject.home, 10.0).list(JOBS, "default")}
        except (InstanceError, StatusError, OSError):
            return False
        lost = [name for name in load.acknowledged if name not in jobs]
        assert not lost, f"acknowledged and lost: {lost}"
        ended = {"Complete", "Failed"}
        return all(
            any(c["type"] in ended and c["status"] == "True" for c in (jobs[n].get("status") or {}).get("conditions") or ())
            for n in load.acknowledged
        )

    assert wait_until(over, LIMIT_SECONDS, 0.5), (
        f"jobs do not end\n{subject.run('get', 'jobs,workloads', check=False).stdout}\n{subject.logs()}"
    )


def _leaves_no_pod_behind(subject: Instance) -> None:
    subject.run("delete", "jobs", "--all")
    assert wait_until(lambda: not subject.api.list(PODS, "default"), 60, 0.5), subject.run("get", "pods").stdout
    assert wait_until(lambda: not [p for p in subject.processes() if _is_container(p)], 10)

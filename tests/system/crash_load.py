"""A load for the crash tests: it submits jobs through an API that goes away and comes back, watches the quota, and sees that every job ends."""

from __future__ import annotations

import random
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from raysail.api.errors import StatusError, is_already_exists
from raysail.api.quantity import parse_milli
from raysail.api.resources import CLUSTER_QUEUES, JOBS, LOCAL_QUEUES, RAY_JOBS, RESOURCE_FLAVORS, WORKLOADS, Resource
from raysail.cli.connection import Api
from raysail.instance.home import InstanceError
from raysail.instance.processes import wait_until
from tests.system.instance import Instance

QUEUE = "crash"
LIMIT_SECONDS = 600.0
ROLE = "CRASH_TEST_ROLE"
"""In the environment of every container of the load: `job`, `head` or `worker`."""

# Both programs hold a lock for as long as they live: a second run of the same job at the same time finds it taken and says so.
SHELL_PROGRAM = """
exec 9>"$FOLDER/$NAME.lock"
flock -n 9 || { echo "$NAME" >> "$FOLDER/twice"; exit 1; }
sleep $SECONDS_TO_RUN
echo "$NAME" >> "$FOLDER/done"
"""
RAY_PROGRAM = """
import fcntl, os, sys, time
folder, name = os.environ["FOLDER"], os.environ["NAME"]
lock = open(f"{folder}/{name}.lock", "w")
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print(name, file=open(f"{folder}/twice", "a"))
    sys.exit(1)
import ray
ray.init()
@ray.remote
def work():
    time.sleep(float(os.environ["SECONDS_TO_RUN"]))
    return 7
assert ray.get([work.remote() for _ in range(2)]) == [7, 7]
print(name, file=open(f"{folder}/done", "a"), flush=True)
"""


class Load:
    """Submits jobs of a kind and checks the quota; what the API acknowledged is remembered."""

    def __init__(self, subject: Instance, folder: Path, dice: random.Random, quota_milli: int) -> None:
        self.subject, self.folder, self.dice, self.quota_milli = subject, folder, dice, quota_milli
        self.acknowledged: dict[Resource, list[str]] = {JOBS: [], RAY_JOBS: []}
        self.highest_milli = 0
        self.faults: list[str] = []
        self.stop = threading.Event()

    @contextmanager
    def running(self, *submitters: Callable[[], None]) -> Iterator[None]:
        """Makes the queue, then submits until the block ends; then every acknowledged job must end, the quota watched all the time."""
        flavor = {"name": "any", "resources": [{"name": "cpu", "nominalQuota": f"{self.quota_milli}m"}]}
        self.persist(RESOURCE_FLAVORS, {"metadata": {"name": "any"}})
        queue = {"namespaceSelector": {}, "resourceGroups": [{"coveredResources": ["cpu"], "flavors": [flavor]}]}
        self.persist(CLUSTER_QUEUES, {"metadata": {"name": QUEUE}, "spec": queue})
        self.persist(LOCAL_QUEUES, {"metadata": {"name": QUEUE}, "spec": {"clusterQueue": QUEUE}}, "default")
        submitting = [threading.Thread(target=submitter) for submitter in submitters]
        over = threading.Event()
        watching = threading.Thread(target=self._watch_quota, args=(over,))
        watching.start()
        try:
            for thread in submitting:
                thread.start()
            try:
                yield
            finally:
                self.stop.set()
                for thread in submitting:
                    thread.join()
            self._everything_ends()
        finally:
            over.set()
            watching.join()

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

    def submit_jobs(self) -> None:
        self._submit(JOBS, "job", self._job, (0.1, 0.4))

    def submit_ray_jobs(self) -> None:
        self._submit(RAY_JOBS, "ray", self._ray_job, (6.0, 12.0))

    def _submit(self, resource: Resource, prefix: str, build: Callable[[str], dict[str, Any]], pause_seconds: tuple[float, float]) -> None:
        number = 0
        while not self.stop.is_set():
            name = f"{prefix}-{number}"
            if self.persist(resource, build(name), "default"):
                self.acknowledged[resource].append(name)
            number += 1
            self.stop.wait(self.dice.uniform(*pause_seconds))

    def _watch_quota(self, over: threading.Event) -> None:
        while not over.wait(0.05):
            try:
                workloads = Api(self.subject.home, 10.0).list(WORKLOADS, "default")
            except (InstanceError, StatusError, OSError):
                continue  # the API is being started again
            used = sum(_reserved_milli(w) for w in workloads)
            self.highest_milli = max(self.highest_milli, used)
            if used > self.quota_milli:
                self.faults.append(f"{used} millicores reserved of {self.quota_milli}")

    def _everything_ends(self) -> None:
        waiting: list[str] = []

        def over() -> bool:
            nonlocal waiting
            try:
                found = {(r, o["metadata"]["name"]): o for r in self.acknowledged for o in Api(self.subject.home, 10.0).list(r, "default")}
            except (InstanceError, StatusError, OSError):
                return False
            expected = [(resource, name) for resource, names in self.acknowledged.items() for name in names]
            lost = [name for resource, name in expected if (resource, name) not in found]
            assert not lost, f"acknowledged and lost: {lost}"
            waiting = [name for resource, name in expected if not _ended(found[resource, name])]
            return not waiting

        assert wait_until(over, LIMIT_SECONDS, 0.5), (
            f"do not end: {waiting}\n{self.subject.run('get', 'jobs,rayjobs,workloads,pods', check=False).stdout}\n{self.subject.logs()}"
        )

    def check(self) -> None:
        """Every acknowledged job ran to its end, none twice at once, within the quota."""
        assert not self.faults, self.faults
        twice = self.folder / "twice"
        assert not twice.exists(), twice.read_text()
        done = (self.folder / "done").read_text().split()
        for names in self.acknowledged.values():
            assert set(names) <= set(done), f"never ran to their end: {sorted(set(names) - set(done))}\n{self.subject.logs()}"
        assert self.highest_milli > 0

    def _job(self, name: str) -> dict[str, Any]:
        container = self._container(name, "job", 1.0) | {"command": ["bash", "-c", SHELL_PROGRAM]}
        pod = self._pod(container) | {"restartPolicy": "Never"}
        return {
            "metadata": {"name": name, "labels": {"kueue.x-k8s.io/queue-name": QUEUE}},
            "spec": {"suspend": True, "backoffLimit": 20, "template": {"spec": pod}},
        }

    def _ray_job(self, name: str) -> dict[str, Any]:
        head, worker = (
            {"template": {"spec": self._pod(self._container(name, role, 3.0))}, "rayStartParams": {}} for role in ("head", "worker")
        )
        program = f"python -c '{textwrap.dedent(RAY_PROGRAM)}'"
        group = worker | {"groupName": "workers", "replicas": 1, "minReplicas": 1, "maxReplicas": 1}
        spec = {
            "submissionMode": "HTTPMode",
            "entrypoint": program,
            "shutdownAfterJobFinishes": True,
            "backoffLimit": 20,
            "rayClusterSpec": {"headGroupSpec": head, "workerGroupSpecs": [group]},
        }
        return {"metadata": {"name": name, "labels": {"kueue.x-k8s.io/queue-name": QUEUE}}, "spec": spec}

    def _container(self, name: str, role: str, longest_seconds: float) -> dict[str, Any]:
        seconds = f"{self.dice.uniform(0.2, longest_seconds):.2f}"
        values = {"NAME": name, "FOLDER": str(self.folder), "SECONDS_TO_RUN": seconds, ROLE: role}
        return {
            "name": role,
            "image": "any",
            "env": [{"name": key, "value": value} for key, value in values.items()],
            "resources": {"requests": {"cpu": "1"}},
            "volumeMounts": [{"name": "shared", "mountPath": str(self.folder)}],
        }

    def _pod(self, container: dict[str, Any]) -> dict[str, Any]:
        volumes = [{"name": "shared", "hostPath": {"path": str(self.folder)}}]
        return {"terminationGracePeriodSeconds": 1, "containers": [container], "volumes": volumes}


def _reserved_milli(workload: dict[str, Any]) -> int:
    conditions = {c["type"]: c["status"] for c in (workload.get("status") or {}).get("conditions") or ()}
    if conditions.get("QuotaReserved") != "True" or conditions.get("Finished") == "True":
        return 0
    assignments = (workload["status"].get("admission") or {}).get("podSetAssignments") or ()
    return sum(parse_milli((a.get("resourceUsage") or {}).get("cpu", "0")) for a in assignments)


def _ended(job: dict[str, Any]) -> bool:
    status = job.get("status") or {}
    if "jobDeploymentStatus" in status:
        return status["jobDeploymentStatus"] in ("Complete", "Failed")
    return any(c["type"] in ("Complete", "Failed") and c["status"] == "True" for c in status.get("conditions") or ())

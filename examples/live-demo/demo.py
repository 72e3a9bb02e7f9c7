"""The talk's live demo on real Ray, on this machine: `make demo`, or `python examples/live-demo/demo.py`.

Low-priority jobs fill the queue three at a time and a fourth waits; a high-priority job arrives, takes the place of one, runs; the one it displaced
comes back, and everything succeeds. KEEP=1 leaves the instance up to play with.
"""

from __future__ import annotations

import copy
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import orjson
import yaml

from raysail.api.resources import RAY_JOBS, WORKLOADS, Resource
from raysail.cli.connection import Api
from raysail.instance.home import Home

FOLDER = Path(__file__).parent
NODES = "3x cpu=4,memory=16398656Ki"
LOW = ("low-1", "low-2", "low-3", "low-4")
LIMIT_SECONDS = 240.0
STARTED = time.monotonic()


def say(text: str) -> None:
    """One line of the timeline."""
    print(f"[{time.monotonic() - STARTED:6.1f}s] {text}", flush=True)


class Timeline:
    """Watches jobs and their Workloads, tells each change with its cause, and lets others wait for one."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._changed = threading.Condition()
        self.states: dict[str, str] = {}
        self.preempted: dict[str, str] = {}
        self._told: set[tuple[str, str, str]] = set()
        self._names: dict[str, str] = {}

    def start(self) -> None:
        for resource, tell in ((WORKLOADS, self._workload), (RAY_JOBS, self._job)):
            threading.Thread(target=self._follow, args=(resource, tell), daemon=True).start()

    def wait(self, text: str, condition: Any) -> None:
        """Until the condition holds over `states` and `preempted`."""
        with self._changed:
            if not self._changed.wait_for(condition, LIMIT_SECONDS):
                raise TimeoutError(f"waited {LIMIT_SECONDS:.0f} s for: {text}; states: {self.states}")

    def _follow(self, resource: Resource, tell: Any) -> None:
        api = Api(self._home)
        page = api.request("GET", resource.path("default"))
        params = {"watch": "true", "resourceVersion": page["metadata"]["resourceVersion"]}
        try:
            for line in api.stream(resource.path("default"), params):
                event = orjson.loads(line)
                with self._changed:
                    tell(event["object"])
                    self._changed.notify_all()
        except OSError:
            return  # the instance went down at the end of the demo

    def _workload(self, workload: dict[str, Any]) -> None:
        owner = next((o["name"] for o in workload["metadata"].get("ownerReferences") or ()), "")
        for condition in (workload.get("status") or {}).get("conditions") or ():
            kind, value, message = condition["type"], condition["status"], condition.get("message", "")
            key = (owner, f"{kind}={value}", f"{condition.get('lastTransitionTime')}{message}")
            if key in self._told:
                continue
            self._told.add(key)
            if (kind, value) == ("QuotaReserved", "False") and condition["reason"] == "Pending":
                say(f"{owner:7} waits: {message}")
            elif (kind, value) == ("Admitted", "True"):
                say(f"{owner:7} admitted")
            elif (kind, value) == ("Preempted", "True"):
                self.preempted[owner] = self._cause(message)
                say(f"{owner:7} PREEMPTED: {self.preempted[owner]}")

    def _cause(self, message: str) -> str:
        """Kueue's message with the job's name for its uid, and without what only machines read."""
        text = re.sub(r"a workload \(UID: [^,]+, JobUID: ([^)]+)\)", lambda m: f"job {self._names.get(m.group(1), m.group(1))}", message)
        return text.partition("; preemptor path")[0]

    def _job(self, job: dict[str, Any]) -> None:
        from raysail.cli.following import phase

        name, state = job["metadata"]["name"], phase(job)
        self._names[job["metadata"]["uid"]] = name
        if self.states.get(name) != state:
            if state in ("Running", "Succeeded", "Failed", "Stopped") or (state == "Queued" and name in self.states):
                say(f"{name:7} {state.lower()}")
            self.states[name] = state


def job(name: str, priority: str, seconds: int) -> dict[str, Any]:
    """One RayJob from ray-job.yaml."""
    found: dict[str, Any] = copy.deepcopy(yaml.safe_load((FOLDER / "ray-job.yaml").read_text()))
    found["metadata"]["name"] = name
    found["spec"]["entrypoint"] = f"python /home/ray/samples/sample_code.py {seconds}"
    cluster = found["spec"]["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        group["template"]["spec"]["priorityClassName"] = priority
    return found


def run(home: Home, environment: dict[str, str]) -> None:
    """The demo between `up` and `down`."""

    def raysail(*arguments: str, text: str = "") -> str:
        done = subprocess.run(
            [sys.executable, "-m", "raysail", *arguments], env=environment, input=text, stdout=subprocess.PIPE, text=True, check=True
        )
        return done.stdout

    raysail("up", "--nodes", NODES, "--quiet")
    say("raysail is up: three nodes with 4 CPUs and 16398656Ki each")
    print(raysail("apply", "-f", str(FOLDER / "setup.yaml")), end="", flush=True)
    timeline = Timeline(home)
    timeline.start()

    say("four low-priority jobs of 3 CPUs each arrive; the queue has 9")
    raysail("apply", "-f", "-", text=yaml.safe_dump_all([job(name, "low-priority", 25) for name in LOW]))
    timeline.wait("three low-priority jobs run", lambda: sum(timeline.states.get(name) == "Running" for name in LOW) == 3)
    print(raysail("queue"), flush=True)
    waiting = next(name for name in LOW if timeline.states.get(name) != "Running")
    print(raysail("why", waiting), flush=True)

    say("a high-priority job of the same size arrives")
    raysail("apply", "-f", "-", text=yaml.safe_dump(job("high", "high-priority", 5)))
    timeline.wait("one low-priority job is preempted", lambda: bool(timeline.preempted))
    timeline.wait("the high-priority job succeeds", lambda: timeline.states.get("high") == "Succeeded")
    timeline.wait("every job ends", lambda: all(timeline.states.get(name) in ("Succeeded", "Failed", "Stopped") for name in (*LOW, "high")))

    for name in ("high", *LOW):
        output = raysail("logs", name)
        answer = next((line for line in output.splitlines() if line.startswith("[0, 1")), "no answer")
        say(f"{name:7} {timeline.states[name].lower()}: Ray printed {answer}")
        if timeline.states[name] != "Succeeded" or "[0, 1, 4, 9]" not in output:
            raise SystemExit(f"{name} did not do what the demo shows; its output:\n{output}")
    for name, cause in timeline.preempted.items():
        say(f"{name} had been preempted ({cause}), came back and succeeded")


def main() -> None:
    keep = os.environ.get("KEEP") == "1"
    home = Home(Path(tempfile.mkdtemp(prefix="raysail-demo-")) / "home")
    environment = os.environ | {"RAYSAIL_HOME": str(home.path)}
    try:
        run(home, environment)
    finally:
        if keep:
            print(f"left up: export RAYSAIL_HOME={home.path}; end it with `raysail down --force`")
        else:
            subprocess.run([sys.executable, "-m", "raysail", "down", "--force"], env=environment, check=False)
            shutil.rmtree(home.path.parent, ignore_errors=True)
    if not keep:
        say("everything succeeded; nothing is left running")


if __name__ == "__main__":
    main()

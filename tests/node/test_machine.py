"""One Pod's next step, as a table: what is seen -> what is done."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from raysail.api.core.pod import Pod
from raysail.node.machine import Dismantle, Forget, Prepare, Start, Stop, Verdict, backoff_seconds, outcome, plan
from raysail.node.observed import Attempt, Phase, Sandbox, Seen
from raysail.node.status import differs, render

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


def pod(*containers: str, inits: tuple[Any, ...] = (), deleted: int | None = None, phase: str = "Pending", **spec: Any) -> Pod:
    """A Pod as JSON would give it. Init containers are names, or (name, "Always") for sidecars."""
    meta: dict[str, Any] = {"name": "p", "namespace": "default", "uid": "u", "generation": 1}
    if deleted is not None:
        meta |= {"deletionTimestamp": "2026-01-01T11:59:59Z", "deletionGracePeriodSeconds": deleted}
    init = [{"name": i[0], "restartPolicy": i[1]} if isinstance(i, tuple) else {"name": i} for i in inits]
    body = {
        "metadata": meta,
        "spec": {"containers": [{"name": c, "image": "i"} for c in containers or ("main",)], "initContainers": init, **spec},
        "status": {"phase": phase},
    }
    return msgspec.convert(body, Pod)


def running(number: int = 0, **more: Any) -> tuple[Attempt, ...]:
    return (Attempt(number, Phase.RUNNING, NOW - timedelta(seconds=5), started=True, ready=True, **more),)


def ended(code: int, *, ago: float = 0, number: int = 0, streak: int = 0, lasted: float = 1) -> tuple[Attempt, ...]:
    finished = NOW - timedelta(seconds=ago)
    reason = "Completed" if code == 0 else "Error"
    return (Attempt(number, Phase.EXITED, finished - timedelta(seconds=lasted), finished, code, reason, streak=streak),)


def starting() -> tuple[Attempt, ...]:
    return (Attempt(0, Phase.STARTING),)


def stopping() -> tuple[Attempt, ...]:
    return (Attempt(0, Phase.STOPPING, NOW),)


@dataclass
class Case:
    name: str
    pod: Pod
    actions: tuple[Any, ...]
    attempts: dict[str, tuple[Attempt, ...]] = field(default_factory=dict)
    sandbox: Sandbox = Sandbox.READY
    wake_in: float | None = None
    verdict: str = ""

    def __str__(self) -> str:
        return self.name


CASES = [
    Case("a new Pod gets its sandbox first", pod(), (Prepare(),), sandbox=Sandbox.ABSENT),
    Case("nothing is done while it is prepared", pod(), (), sandbox=Sandbox.PREPARING),
    Case("all containers start together", pod("a", "b"), (Start("a", 0, 0), Start("b", 0, 0))),
    Case("one that starts is not started again", pod("a", "b"), (Start("b", 0, 0),), {"a": starting()}),
    Case("init containers run one after the other", pod(inits=("x", "y")), (Start("x", 0, 0),)),
    Case("the second init waits for the first", pod(inits=("x", "y")), (), {"x": running()}),
    Case("the second init follows a success", pod(inits=("x", "y")), (Start("y", 0, 0),), {"x": ended(0)}),
    Case("main containers follow the last init", pod(inits=("x",)), (Start("main", 0, 0),), {"x": ended(0)}),
    Case("a failed init is tried again at once the first time", pod(inits=("x",)), (Start("x", 1, 1),), {"x": ended(1)}),
    Case("a failed init ends a Pod that is never restarted", pod(inits=("x",), restartPolicy="Never"), (Dismantle(),), {"x": ended(1)}),
    Case("a sidecar that has started lets the next one begin", pod(inits=(("s", "Always"), "y")), (Start("y", 0, 0),), {"s": running()}),
    Case(
        "a sidecar whose startup probe has not passed does not",
        pod(inits=(("s", "Always"), "y")),
        (),
        {"s": (Attempt(0, Phase.RUNNING, NOW, started=False),)},
    ),
    Case("a sidecar that ends is restarted beside running containers", pod(inits=(("s", "Always"),)), (Start("s", 1, 1),), {"s": ended(0), "main": running()}),
    Case("the first restart is at once", pod(), (Start("main", 1, 1),), {"main": ended(1)}),
    Case("the second one waits 10 s", pod(), (), {"main": ended(1, ago=4, number=1, streak=1)}, wake_in=6),
    Case("and comes when they are over", pod(), (Start("main", 2, 2),), {"main": ended(1, ago=10, number=1, streak=1)}),
    Case("never more than five minutes", pod(), (), {"main": ended(1, number=20, streak=20)}, wake_in=300),
    Case("a long run forgives", pod(), (Start("main", 6, 0),), {"main": ended(1, ago=300, number=5, streak=5, lasted=600)}),
    Case("OnFailure does not restart a success", pod(restartPolicy="OnFailure"), (Dismantle(),), {"main": ended(0)}),
    Case("OnFailure restarts a failure", pod(restartPolicy="OnFailure"), (Start("main", 1, 1),), {"main": ended(2)}),
    Case("Never leaves a failure alone", pod("a", "b", restartPolicy="Never"), (), {"a": ended(2), "b": running()}),
    Case(
        "sidecars are stopped when the main containers are over",
        pod(inits=(("s", "Always"),), restartPolicy="Never"),
        (Stop("s", 0, 30, "Stopping container"),),
        {"s": running(), "main": ended(0)},
    ),
    Case(
        "an unhealthy container is stopped to be restarted",
        pod(),
        (Stop("main", 0, 30, "Container main failed liveness probe, will be restarted"),),
        {"main": running(unhealthy="Container main failed liveness probe, will be restarted")},
    ),
    Case("deletion stops what runs, with its grace", pod("a", "b", deleted=7), (Stop("a", 0, 7, "Stopping container"), Stop("b", 0, 7, "Stopping container")), {"a": running(), "b": running()}),
    Case("deletion waits for one that is starting", pod(deleted=7), (), {"main": starting()}),
    Case("sidecars go after the main containers, the last one first", pod(inits=(("s", "Always"), ("t", "Always")), deleted=7), (Stop("t", 0, 7, "Stopping container"),), {"s": running(), "t": running(), "main": ended(0)}),
    Case("then the sandbox goes", pod(deleted=7), (Dismantle(),), {"main": ended(137)}),
    Case("then the Pod is forgotten", pod(deleted=7), (Forget(),), {"main": ended(137)}, sandbox=Sandbox.GONE),
    Case("a Pod deleted before it began is forgotten at once", pod(deleted=7), (Forget(),), sandbox=Sandbox.ABSENT),
    Case("a finished Pod starts nothing", pod(phase="Succeeded"), (), sandbox=Sandbox.ABSENT),
    Case("a lost sandbox is made anew", pod(), (Prepare(),), {"main": ended(137)}, sandbox=Sandbox.GONE),
    Case(
        "the active deadline ends the Pod",
        pod(activeDeadlineSeconds=60),
        (Stop("main", 0, 30, "Pod was active on the node longer than the specified deadline"),),
        {"main": running()},
        verdict="DeadlineExceeded",
    ),
    Case("before it the Pod is looked at again in time", pod(activeDeadlineSeconds=100), (), {"main": running()}, wake_in=10),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_next_step(case: Case) -> None:
    seen = Seen(case.sandbox, start_time=NOW - timedelta(seconds=90), attempts=case.attempts)
    step = plan(case.pod, seen, NOW)
    assert step.actions == case.actions
    assert step.wake_at == (NOW + timedelta(seconds=case.wake_in) if case.wake_in is not None else None)
    assert (step.verdict.reason if step.verdict else "") == case.verdict


@pytest.mark.parametrize(
    ("policy", "codes", "wanted"),
    [
        ("Never", (0, 0), "Succeeded"),
        ("Never", (0, 1), "Failed"),
        ("OnFailure", (0, 1), ""),
        ("OnFailure", (0, 0), "Succeeded"),
        ("Always", (0, 0), ""),
    ],
)
def test_outcome(policy: str, codes: tuple[int, int], wanted: str) -> None:
    seen = Seen(attempts={"a": ended(codes[0]), "b": ended(codes[1])})
    assert outcome(pod("a", "b", restartPolicy=policy), seen) == wanted


@pytest.mark.parametrize(("streak", "seconds"), [(0, 0), (1, 10), (2, 20), (3, 40), (5, 160), (6, 300), (99, 300)])
def test_back_off_doubles(streak: int, seconds: int) -> None:
    assert backoff_seconds(ended(1, streak=streak)[0]) == seconds


def rendered(pod_: Pod, **seen: Any) -> dict[str, Any]:
    return render(pod_, Seen(**{"sandbox": Sandbox.READY, "start_time": NOW, **seen}), NOW, None, "the environment")


def test_a_running_pod_is_ready() -> None:
    status = rendered(pod(), attempts={"main": running()})
    assert status["phase"] == "Running"
    assert {c["type"]: c["status"] for c in status["conditions"]} == {
        "PodReadyToStartContainers": "True",
        "Initialized": "True",
        "Ready": "True",
        "ContainersReady": "True",
        "raysail.io/ImagePulled": "False",
    }
    assert status["containerStatuses"][0]["state"] == {"running": {"startedAt": "2026-01-01T11:59:55Z"}}


def test_a_readiness_gate_holds_it_back() -> None:
    status = rendered(pod(readinessGates=[{"conditionType": "example.com/x"}]), attempts={"main": running()})
    found = {c["type"]: (c["status"], c["reason"]) for c in status["conditions"]}
    assert found["Ready"] == ("False", "ReadinessGatesNotReady")
    assert found["ContainersReady"] == ("True", None)


def test_init_containers_are_told_apart() -> None:
    status = rendered(pod(inits=("x", "y")), attempts={"x": ended(0), "y": running()})
    assert status["phase"] == "Pending"
    assert [s["ready"] for s in status["initContainerStatuses"]] == [True, False]
    assert status["containerStatuses"][0]["state"]["waiting"]["reason"] == "PodInitializing"
    condition = next(c for c in status["conditions"] if c["type"] == "Initialized")
    assert (condition["status"], condition["message"]) == ("False", "containers with incomplete status: [y]")


def test_a_finished_pod_says_how_it_ended() -> None:
    status = rendered(pod(restartPolicy="Never"), attempts={"main": ended(0)}, sandbox=Sandbox.GONE)
    assert status["phase"] == "Succeeded"
    assert status["containerStatuses"][0]["state"]["terminated"]["reason"] == "Completed"
    assert {c["type"]: c["reason"] for c in status["conditions"]}["Ready"] == "PodCompleted"


def test_a_verdict_fails_the_pod() -> None:
    status = render(pod(), Seen(attempts={"main": running()}), NOW, Verdict("DeadlineExceeded", "too long"), "")
    assert (status["phase"], status["reason"], status["message"]) == ("Failed", "DeadlineExceeded", "too long")


def test_a_status_that_is_there_already_is_not_written_again() -> None:
    before = pod()
    status = rendered(before, attempts={"main": running()})
    stored = {**status, "conditions": [{k: v for k, v in c.items() if v is not None} for c in status["conditions"]]}
    after = msgspec.structs.replace(before, status=msgspec.convert(stored, type(before.status)))
    assert differs(msgspec.to_builtins(before.status), status)
    assert not differs(msgspec.to_builtins(after.status), rendered(after, attempts={"main": running()}))
    assert differs(msgspec.to_builtins(after.status), rendered(after, attempts={"main": ended(0)}))

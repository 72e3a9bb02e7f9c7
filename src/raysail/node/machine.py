"""What to do next for one Pod: (Pod, what was seen, now) -> actions. Pure.

The order is the kubelet's (pkg/kubelet/kuberuntime/kuberuntime_manager.go, computePodActions): init containers one after the other, sidecars among them
stay, then all others together; ended containers are restarted as the policy says, with a back-off of 10 s that doubles up to five minutes; on the way
out main containers end before sidecars, and those in the reverse order of their start.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from raysail.api.core.containers import Container
from raysail.api.core.pod import FAILED, SUCCEEDED, Pod
from raysail.api.meta import parse_time
from raysail.node.observed import Attempt, Phase, Sandbox, Seen, inits, is_sidecar, restart_policy

BACKOFF_SECONDS: Final = 10
BACKOFF_LIMIT_SECONDS: Final = 300
STEADY_SECONDS: Final = 600
"""After a run of this length the back-off begins anew."""
DEADLINE_EXCEEDED: Final = "DeadlineExceeded"
DEADLINE_MESSAGE: Final = "Pod was active on the node longer than the specified deadline"


@dataclass(frozen=True, slots=True)
class Prepare:
    """Make the sandbox: address, volumes, supervisor."""


@dataclass(frozen=True, slots=True)
class Start:
    """Run attempt `number` of the container."""

    container: str
    number: int
    streak: int


@dataclass(frozen=True, slots=True)
class Stop:
    """preStop hook, TERM, KILL after the grace."""

    container: str
    number: int
    grace_seconds: int
    message: str


@dataclass(frozen=True, slots=True)
class Dismantle:
    """End the supervisor and whatever still runs. Logs and volumes stay until the Pod is deleted."""


@dataclass(frozen=True, slots=True)
class Forget:
    """All is ended: tell the API that the Pod may go, and remove its folder."""


Action = Prepare | Start | Stop | Dismantle | Forget


@dataclass(frozen=True, slots=True)
class Verdict:
    """A Pod that is to end whatever its containers do: FAILED with a reason."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Step:
    """What to do now, and when to look again though nothing has happened."""

    actions: tuple[Action, ...] = ()
    wake_at: datetime | None = None
    verdict: Verdict | None = None


def plan(pod: Pod, seen: Seen, now: datetime, verdict: Verdict | None = None) -> Step:
    """The next step. `verdict` is what an earlier step found."""
    if pod.metadata.deletion_timestamp is not None:
        grace = pod.metadata.deletion_grace_period_seconds
        return _end(pod, seen, 30 if grace is None else grace, "Stopping container", forget=True)
    verdict = verdict or _deadline(pod, seen, now)
    if verdict is not None:
        step = _end(pod, seen, grace_seconds(pod), verdict.message)
        return Step(step.actions, step.wake_at, verdict)
    if pod.status.phase in (SUCCEEDED, FAILED) or outcome(pod, seen):
        return _end(pod, seen, grace_seconds(pod), "Stopping container")
    if seen.sandbox in (Sandbox.ABSENT, Sandbox.GONE):
        return Step((Prepare(),))
    if seen.sandbox is Sandbox.PREPARING:
        return Step()
    starts, wakes = _starts(pod, seen, now)
    stops = _unhealthy(pod, seen)
    deadline = _deadline_at(pod, seen)
    wakes += [deadline] if deadline else []
    return Step((*starts, *stops), min(wakes, default=None))


def grace_seconds(pod: Pod) -> int:
    """How long its containers may take to stop."""
    given = pod.spec.termination_grace_period_seconds
    return 30 if given is None else given


def outcome(pod: Pod, seen: Seen) -> str:
    """Succeeded or Failed when no container will run again; empty before (sidecars do not count)."""
    failed = [c for c in inits(pod) if not is_sidecar(c) and _over(pod, c, seen, init=True) == FAILED]
    if failed:
        return FAILED
    results = [_over(pod, c, seen, init=False) for c in pod.spec.containers]
    if not results or not all(results):
        return ""
    return FAILED if FAILED in results else SUCCEEDED


def initialized(pod: Pod, seen: Seen) -> bool:
    """Whether the main containers may run: each init container has succeeded, each sidecar has started. Once so, it stays so."""
    if any(seen.attempts.get(c.name) for c in pod.spec.containers):
        return True
    return all(_passed(c, seen.last(c.name)) for c in inits(pod))


def backoff_until(attempt: Attempt) -> datetime | None:
    """When an ended container may run again: at once after its first end, then after 10 s, 20 s, ... five minutes."""
    if attempt.finished_at is None or attempt.streak == 0:
        return None
    seconds = min(BACKOFF_SECONDS * 2 ** min(attempt.streak - 1, 10), BACKOFF_LIMIT_SECONDS)
    return attempt.finished_at + timedelta(seconds=seconds)


def backoff_seconds(attempt: Attempt) -> int:
    """The length of that wait."""
    until = backoff_until(attempt)
    return int((until - attempt.finished_at).total_seconds()) if until and attempt.finished_at else 0


def will_restart(pod: Pod, container: Container, attempt: Attempt, *, init: bool) -> bool:
    """Whether an ended container runs again, by its policy."""
    policy = restart_policy(pod, container, init=init)
    return policy == "Always" or (policy == "OnFailure" and attempt.exit_code != 0)


def _over(pod: Pod, container: Container, seen: Seen, *, init: bool) -> str:
    attempt = seen.last(container.name)
    if attempt is None or attempt.live or will_restart(pod, container, attempt, init=init):
        return ""
    return SUCCEEDED if attempt.exit_code == 0 else FAILED


def _passed(container: Container, attempt: Attempt | None) -> bool:
    if attempt is None:
        return False
    if is_sidecar(container):
        return attempt.phase is Phase.RUNNING and attempt.started and attempt.hooked
    return attempt.phase is Phase.EXITED and attempt.exit_code == 0


def _starts(pod: Pod, seen: Seen, now: datetime) -> tuple[list[Action], list[datetime]]:
    wanted: list[tuple[Container, bool]] = []
    ready = initialized(pod, seen)
    for container in inits(pod):
        attempt = seen.last(container.name)
        if is_sidecar(container) or (not ready and not _passed(container, attempt)):
            wanted.append((container, True))
        if not ready and not _passed(container, attempt):
            break
    if ready:
        wanted += [(c, False) for c in pod.spec.containers]
    actions: list[Action] = []
    wakes: list[datetime] = []
    for container, init in wanted:
        attempt = seen.last(container.name)
        if attempt is None:
            actions.append(Start(container.name, 0, 0))
            continue
        if attempt.live or not will_restart(pod, container, attempt, init=init):
            continue
        until = backoff_until(attempt)
        if until is not None and until > now:
            wakes.append(until)
        else:
            actions.append(Start(container.name, attempt.number + 1, _next_streak(attempt)))
    return actions, wakes


def _next_streak(attempt: Attempt) -> int:
    if attempt.started_at and attempt.finished_at and (attempt.finished_at - attempt.started_at).total_seconds() >= STEADY_SECONDS:
        return 0
    return attempt.streak + 1


def _unhealthy(pod: Pod, seen: Seen) -> list[Action]:
    return [
        Stop(c.name, attempt.number, _probe_grace(pod, c), attempt.unhealthy)
        for c in (*inits(pod), *pod.spec.containers)
        if (attempt := seen.last(c.name)) and attempt.phase is Phase.RUNNING and attempt.unhealthy
    ]


def _probe_grace(pod: Pod, container: Container) -> int:
    own = [p.termination_grace_period_seconds for p in (container.startup_probe, container.liveness_probe) if p is not None]
    return next((seconds for seconds in own if seconds is not None), grace_seconds(pod))


def _end(pod: Pod, seen: Seen, grace: int, message: str, *, forget: bool = False) -> Step:
    """Everything stops: main and ordinary init containers first, then the sidecars, the last one first."""
    sidecars = [c for c in inits(pod) if is_sidecar(c)]
    others = [*pod.spec.containers, *(c for c in inits(pod) if not is_sidecar(c))]
    if any(_live(seen, others)):
        return Step(tuple(_stops(seen, others, grace, message)))
    for sidecar in reversed(sidecars):
        if any(_live(seen, [sidecar])):
            return Step(tuple(_stops(seen, [sidecar], grace, message)))
    if seen.sandbox is Sandbox.READY:
        return Step((Dismantle(),))
    if seen.sandbox is Sandbox.PREPARING:
        return Step()
    return Step((Forget(),)) if forget else Step()


def _live(seen: Seen, containers: Iterable[Container]) -> list[Attempt]:
    return [attempt for c in containers if (attempt := seen.last(c.name)) is not None and attempt.live]


def _stops(seen: Seen, containers: Iterable[Container], grace: int, message: str) -> Iterable[Stop]:
    # Asked for again while it stops: a second delete may have shortened the grace.
    for container in containers:
        attempt = seen.last(container.name)
        if attempt is not None and attempt.phase in (Phase.RUNNING, Phase.STOPPING):
            yield Stop(container.name, attempt.number, grace, message)


def _deadline_at(pod: Pod, seen: Seen) -> datetime | None:
    seconds = pod.spec.active_deadline_seconds
    start = parse_time(pod.status.start_time) if pod.status.start_time else seen.start_time
    return start + timedelta(seconds=seconds) if seconds is not None and start is not None else None


def _deadline(pod: Pod, seen: Seen, now: datetime) -> Verdict | None:
    at = _deadline_at(pod, seen)
    if at is None or at > now or pod.status.phase in (SUCCEEDED, FAILED):
        return None
    return Verdict(DEADLINE_EXCEEDED, DEADLINE_MESSAGE)

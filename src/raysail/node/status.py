"""A Pod's status as the kubelet would write it (pkg/kubelet/kubelet_pods.go, pkg/kubelet/status/generate.go). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from raysail.api.conditions import is_true
from raysail.api.core.containers import Container
from raysail.api.core.pod import (
    CONTAINERS_READY,
    FAILED,
    PENDING,
    POD_INITIALIZED,
    POD_READY,
    POD_READY_TO_START_CONTAINERS,
    RUNNING,
    SUCCEEDED,
    Pod,
)
from raysail.api.meta import Condition, format_time
from raysail.node.machine import Verdict, backoff_seconds, backoff_until, initialized, outcome, will_restart
from raysail.node.observed import Attempt, Phase, Sandbox, Seen, inits, is_sidecar
from raysail.node.resources import qos_class

IMAGE_PULLED: Final = "raysail.io/ImagePulled"
"""Always False: images are not pulled, Pods run in a Python environment of this machine; the message says which."""


def render(pod: Pod, seen: Seen, now: datetime, verdict: Verdict | None, environment: str) -> dict[str, Any]:
    """The status as a strategic merge patch of `status`; `environment` describes what runs instead of the image."""
    phase = FAILED if verdict else _phase(pod, seen)
    main = [_container(pod, c, seen, now, init=False) for c in pod.spec.containers]
    init = [_container(pod, c, seen, now, init=True) for c in inits(pod)]
    status: dict[str, Any] = {
        "phase": phase,
        "hostIP": seen.host_address,
        "hostIPs": [{"ip": seen.host_address}],
        "qosClass": qos_class(pod),
        "containerStatuses": main,
        "conditions": _conditions(pod, seen, phase, main, init, now, environment),
        "observedGeneration": pod.metadata.generation,
    }
    if init:
        status["initContainerStatuses"] = init
    if seen.start_time is not None:
        status["startTime"] = format_time(seen.start_time)
    if seen.address:
        status |= {"podIP": seen.address, "podIPs": [{"ip": seen.address}]}
    if verdict is not None:
        status |= {"reason": verdict.reason, "message": verdict.message}
    return status


def _phase(pod: Pod, seen: Seen) -> str:
    if pod.status.phase in (SUCCEEDED, FAILED):
        return pod.status.phase
    if any(a.live for attempts in seen.attempts.values() for a in attempts[-1:]):
        return RUNNING if initialized(pod, seen) and any(seen.attempts.get(c.name) for c in pod.spec.containers) else PENDING
    ended = outcome(pod, seen)
    if ended:
        return ended
    # Something has run and will run again.
    return RUNNING if any(seen.attempts.get(c.name) for c in pod.spec.containers) else PENDING


def _container(pod: Pod, container: Container, seen: Seen, now: datetime, *, init: bool) -> dict[str, Any]:
    attempts = seen.attempts.get(container.name, ())
    last = attempts[-1] if attempts else None
    state, last_state = _states(pod, container, seen, attempts, now, init=init)
    running = last is not None and last.phase in (Phase.RUNNING, Phase.STOPPING)
    started = bool(last and running and last.started and last.hooked)
    done = init and not is_sidecar(container) and last is not None and not last.live and last.exit_code == 0
    status: dict[str, Any] = {
        "name": container.name,
        "state": state,
        "lastState": last_state,
        "ready": bool(done or (started and last is not None and last.ready and (not init or is_sidecar(container)))),
        "started": started,
        "restartCount": last.number if last else 0,
        "image": container.image,
        "imageID": "",
    }
    if last is not None and (last.phase is not Phase.STARTING):
        status["containerID"] = container_id(pod, container.name, last.number)
    resources = {key: value for key, value in (("limits", container.resources.limits), ("requests", container.resources.requests)) if value}
    if resources:
        status["resources"] = resources
    if container.resources.requests:
        status["allocatedResources"] = dict(container.resources.requests)
    return status


def container_id(pod: Pod, container: str, number: int) -> str:
    """Names one run of a container, as a runtime's id does."""
    return f"raysail://{pod.metadata.uid}/{container}/{number}"


def _states(
    pod: Pod, container: Container, seen: Seen, attempts: tuple[Attempt, ...], now: datetime, *, init: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(state, lastState)."""
    last = attempts[-1] if attempts else None
    before = _terminated(pod, container, attempts[-2]) if len(attempts) > 1 else {}
    blocked = seen.waiting.get(container.name)
    if last is None:
        if blocked:
            return _waiting(*blocked), {}
        waits_for_inits = bool(inits(pod)) and not initialized(pod, seen) and not (init and seen.sandbox is not Sandbox.READY)
        return _waiting("PodInitializing" if waits_for_inits or init else "ContainerCreating"), {}
    if last.phase is Phase.STARTING:
        return _waiting("PodInitializing" if init else "ContainerCreating"), before
    if last.live:
        return {"running": {"startedAt": format_time(last.started_at or now)}}, before
    ended = _terminated(pod, container, last)
    if pod.metadata.deletion_timestamp is None and pod.status.phase != FAILED and will_restart(pod, container, last, init=init):
        if blocked:
            return _waiting(*blocked), ended
        until = backoff_until(last)
        if until is not None and until > now and not outcome(pod, seen):
            name = f"{pod.metadata.name}_{pod.metadata.namespace}({pod.metadata.uid})"
            text = f"back-off {_duration(backoff_seconds(last))} restarting failed container={container.name} pod={name}"
            return _waiting("CrashLoopBackOff", text), ended
    return ended, before


def _duration(seconds: int) -> str:
    """Go's way: 10s, 1m20s, 5m0s."""
    return f"{seconds // 60}m{seconds % 60}s" if seconds >= 60 else f"{seconds}s"


def _waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message} if message else {"reason": reason}}


def _terminated(pod: Pod, container: Container, attempt: Attempt) -> dict[str, Any]:
    ended: dict[str, Any] = {
        "exitCode": attempt.exit_code,
        "reason": attempt.reason,
        "startedAt": format_time(attempt.started_at) if attempt.started_at else None,
        "finishedAt": format_time(attempt.finished_at) if attempt.finished_at else None,
        "containerID": container_id(pod, container.name, attempt.number),
    }
    if attempt.message:
        ended["message"] = attempt.message
    return {"terminated": ended}


def _conditions(
    pod: Pod, seen: Seen, phase: str, main: list[dict[str, Any]], init: list[dict[str, Any]], now: datetime, environment: str
) -> list[dict[str, Any]]:
    over = phase in (SUCCEEDED, FAILED)
    done_reason = "PodCompleted" if phase == SUCCEEDED else "PodFailed"
    unready = [c["name"] for c in main if not c["ready"]]
    unready_text = f"containers with unready status: [{' '.join(unready)}]"
    sidecars_unready = [s["name"] for c, s in zip(inits(pod), init, strict=True) if is_sidecar(c) and not s["ready"]]
    if sidecars_unready and not unready:
        unready, unready_text = sidecars_unready, f"containers with unready status: [{' '.join(sidecars_unready)}]"
    uninitialized = [s["name"] for c, s in zip(inits(pod), init, strict=True) if not (s["started"] if is_sidecar(c) else s["ready"])]
    wanted: list[tuple[str, bool, str, str]] = [(POD_READY_TO_START_CONTAINERS, seen.sandbox is Sandbox.READY, "", "")]
    if initialized(pod, seen) or phase == SUCCEEDED:
        wanted.append((POD_INITIALIZED, True, done_reason if phase == SUCCEEDED else "", ""))
    else:
        text = f"containers with incomplete status: [{' '.join(uninitialized)}]"
        wanted.append((POD_INITIALIZED, False, done_reason if over else "ContainersNotInitialized", "" if over else text))
    ready = not over and not unready and bool(main) and seen.sandbox is Sandbox.READY
    reason, text = ("", "") if ready else (done_reason, "") if over else ("ContainersNotReady", unready_text)
    gates = [g.condition_type for g in pod.spec.readiness_gates or () if not is_true(pod.status.conditions, g.condition_type)]
    if ready and gates:
        gate_text = "; ".join(f'corresponding condition of pod readiness gate "{gate}" does not exist.' for gate in gates)
        wanted.append((POD_READY, False, "ReadinessGatesNotReady", gate_text))
    else:
        wanted.append((POD_READY, ready, reason, text))
    wanted.append((CONTAINERS_READY, ready, reason, text))
    wanted.append((IMAGE_PULLED, False, "RunsInLocalEnvironment", f"images are not pulled: containers run in {environment}"))
    present = {c.type: c for c in pod.status.conditions or ()}
    return [_condition(*one, now, present.get(one[0]), pod.metadata.generation) for one in wanted]


def _condition(
    kind: str, holds: bool, reason: str, message: str, now: datetime, present: Condition | None, generation: int
) -> dict[str, Any]:
    status = "True" if holds else "False"
    since = (
        present.last_transition_time
        if present is not None and present.status == status and present.last_transition_time
        else format_time(now)
    )
    # None removes what the condition said before: the patch is merged by type.
    return {
        "type": kind,
        "status": status,
        "lastTransitionTime": since,
        "lastProbeTime": None,
        "reason": reason or None,
        "message": message or None,
        "observedGeneration": generation or None,
    }


def differs(raw_status: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether the status in the API lacks anything of what is wanted (conditions are compared by type)."""
    for key, value in wanted.items():
        if key == "conditions":
            present = {c.get("type"): c for c in raw_status.get("conditions") or ()}
            if any(not _covers(present.get(c["type"]), c) for c in value):
                return True
        elif not _covers(raw_status.get(key), value):
            return True
    return False


def _covers(present: Any, wanted: Any) -> bool:
    if isinstance(wanted, Mapping):
        if not wanted or wanted == {"running": {}}:
            return not present
        if not isinstance(present, Mapping):
            return all(value is None for value in wanted.values())
        extra = set(present) - set(wanted) if set(wanted) & {"waiting", "running", "terminated"} else set()
        return not extra and all(_covers(present.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return (
            isinstance(present, list) and len(present) == len(wanted) and all(_covers(p, w) for p, w in zip(present, wanted, strict=True))
        )
    if wanted is None or wanted in ("", 0):
        return not present or present == wanted
    return bool(present == wanted)

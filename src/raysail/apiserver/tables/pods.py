"""The cells of a Pod: what `kubectl get pods` shows (printers.go, printPod)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from raysail.apiserver.tables.columns import AGE, NAME, NONE, Column, Columns, field_, since

Obj = Mapping[str, Any]


@dataclass(slots=True)
class Summary:
    """What the statuses of all containers come to. `last_restart` is the finish time of the last run that ended."""

    reason: str
    ready: int = 0
    total: int = 0
    restarts: int = 0
    last_restart: str = ""


def summarise(pod: Obj) -> Summary:
    """The pod's status in a word, its ready containers and restarts."""
    spec, status = pod["spec"], pod.get("status") or {}
    inits = {c["name"]: c for c in spec.get("initContainers") or ()}
    sidecars = {name for name, c in inits.items() if c.get("restartPolicy") == "Always"}
    found = Summary(status.get("reason") or status.get("phase", ""), total=len(spec["containers"]) + len(sidecars))
    conditions = status.get("conditions") or ()
    if any(c["type"] == "PodScheduled" and c.get("reason") == "SchedulingGated" for c in conditions):
        found.reason = "SchedulingGated"
    initializing = _read_init_containers(found, status.get("initContainerStatuses") or (), sidecars, len(inits))
    if not initializing or any(c["type"] == "Initialized" and c["status"] == "True" for c in conditions):
        _read_containers(
            found, status.get("containerStatuses") or (), ready=any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
        )
    if pod["metadata"].get("deletionTimestamp"):
        if status.get("reason") == "NodeLost":
            found.reason = "Unknown"
        elif status.get("phase") not in ("Succeeded", "Failed"):
            found.reason = "Terminating"
    return found


def _read_init_containers(found: Summary, statuses: Any, sidecars: set[str], count: int) -> bool:
    """Whether initialization goes on or failed; restarts are then those of all init containers, else of sidecars only."""
    sidecar_restarts, sidecar_last, all_restarts, all_last = 0, "", 0, ""
    initializing = False
    for index, container in enumerate(statuses):
        state = container.get("state") or {}
        ended, waiting = state.get("terminated"), state.get("waiting")
        finished = ((container.get("lastState") or {}).get("terminated") or {}).get("finishedAt") or ""
        all_restarts, all_last = all_restarts + container.get("restartCount", 0), max(all_last, finished)
        if container["name"] in sidecars:
            sidecar_restarts, sidecar_last = sidecar_restarts + container.get("restartCount", 0), max(sidecar_last, finished)
        if ended is not None and ended.get("exitCode", 0) == 0:
            continue
        if container["name"] in sidecars and container.get("started"):
            found.ready += bool(container.get("ready"))
            continue
        if ended is not None:
            found.reason = f"Init:{_ended(ended)}"
        elif waiting and waiting.get("reason") and waiting["reason"] != "PodInitializing":
            found.reason = f"Init:{waiting['reason']}"
        else:
            found.reason = f"Init:{index}/{count}"
        initializing = True
        break
    found.restarts, found.last_restart = (all_restarts, all_last) if initializing else (sidecar_restarts, sidecar_last)
    return initializing


def _read_containers(found: Summary, statuses: Any, *, ready: bool) -> None:
    running, error = False, ""
    for container in reversed(statuses):
        state = container.get("state") or {}
        found.restarts += container.get("restartCount", 0)
        finished = ((container.get("lastState") or {}).get("terminated") or {}).get("finishedAt") or ""
        found.last_restart = max(found.last_restart, finished)
        if (state.get("waiting") or {}).get("reason"):
            found.reason = state["waiting"]["reason"]
        elif state.get("terminated") is not None:
            found.reason = _ended(state["terminated"])
            error = found.reason if state["terminated"].get("exitCode", 0) else error
        elif container.get("ready") and state.get("running") is not None:
            running = True
            found.ready += 1
    if found.reason == "Completed":
        if running and ready:
            found.reason = "Running"
        elif error:
            found.reason = error
        elif running:
            found.reason = "NotReady"


def _ended(terminated: Obj) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    return f"Signal:{terminated['signal']}" if terminated.get("signal") else f"ExitCode:{terminated.get('exitCode', 0)}"


def _restarts(pod: Obj, now: datetime) -> str:
    found = summarise(pod)
    return f"{found.restarts} ({since(found.last_restart, now)} ago)" if found.restarts and found.last_restart else str(found.restarts)


def _ready(pod: Obj, _: datetime) -> str:
    found = summarise(pod)
    return f"{found.ready}/{found.total}"


def _gates(pod: Obj, _: datetime) -> str:
    gates = pod["spec"].get("readinessGates") or ()
    true = {c["type"] for c in (pod.get("status") or {}).get("conditions") or () if c["status"] == "True"}
    return f"{sum(g['conditionType'] in true for g in gates)}/{len(gates)}" if gates else NONE


def _pod_ip(pod: Obj, _: datetime) -> str:
    addresses = (pod.get("status") or {}).get("podIPs") or ()
    return addresses[0]["ip"] if addresses else NONE


PODS = Columns(
    (
        NAME,
        Column("Ready", "The aggregate readiness state of this pod for accepting traffic.", _ready),
        Column("Status", "The aggregate status of the containers in this pod.", lambda pod, _: summarise(pod).reason),
        Column(
            "Restarts",
            "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted.",
            _restarts,
        ),
        AGE,
        Column("IP", "core.v1.PodStatus.podIP", _pod_ip, wide=True),
        Column("Node", "core.v1.PodSpec.nodeName", lambda pod, _: pod["spec"].get("nodeName") or NONE, wide=True),
        Column("Nominated Node", "core.v1.PodStatus.nominatedNodeName", field_("status.nominatedNodeName", NONE), wide=True),
        Column("Readiness Gates", "core.v1.PodSpec.readinessGates", _gates, wide=True),
    )
)

"""What the agent itself remembers of a Pod, on disk so that a new agent goes on where the old one stopped.

`pod.json` in the Pod's folder: identity, address, start time. `containers/NAME/N.json`: the spec of each attempt, with its streak.
`containers/NAME/N.state`: written by the supervisor, or by the agent for an attempt that could not be started.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from raysail.node.observed import Attempt, Phase

LOST_REASON: Final = "ContainerStatusUnknown"
LOST_MESSAGE: Final = "The container could not be located when the Pod's supervisor ended"
_MESSAGE_LIMIT: Final = 4096
_KEPT: Final = 3


@dataclass(frozen=True, slots=True)
class PodRecord:
    """Identity of a Pod on this machine."""

    namespace: str
    name: str
    uid: str
    node: str
    address: str
    start_time: float
    gpus: dict[str, list[str]] = field(default_factory=dict)
    """GPUs by container."""


def write_record(folder: Path, record: PodRecord) -> None:
    """Keeps it."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_json(folder / "pod.json", asdict(record))


def read_record(folder: Path) -> PodRecord | None:
    """What an earlier agent kept; None when the folder is not that of a Pod, or was not finished."""
    try:
        return PodRecord(**json.loads((folder / "pod.json").read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Whole or not at all, readable by the owner only."""
    temporary = path.with_name(path.name + ".new")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(document, file)
    temporary.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """The document; empty where there is none."""
    try:
        document: dict[str, Any] = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return document


def read_attempts(folder: Path) -> dict[str, list[Attempt]]:
    """All attempts of all containers from disk, oldest first. One that was running is so only if the supervisor still says it."""
    found: dict[str, list[Attempt]] = {}
    containers = folder / "containers"
    for own in sorted(containers.iterdir()) if containers.is_dir() else ():
        numbers = sorted(int(p.stem) for p in own.glob("*.json") if p.stem.isdigit())
        for number in numbers:
            attempt = Attempt(number, Phase.STARTING, streak=_streak(own, number))
            state = read_state(own, number)
            found.setdefault(own.name, []).append(apply_state(attempt, state, own) if state else attempt)
    return found


def read_state(own: Path, number: int) -> dict[str, Any] | None:
    """The state file of one attempt."""
    try:
        state: dict[str, Any] = json.loads((own / f"{number}.state").read_text())
    except (FileNotFoundError, ValueError):
        return None
    return state


def apply_state(attempt: Attempt, state: dict[str, Any], own: Path) -> Attempt:
    """The attempt as the supervisor's state describes it."""
    started = _moment(state.get("started_at"))
    if state.get("running"):
        phase = Phase.STOPPING if attempt.phase is Phase.STOPPING else Phase.RUNNING
        return replace(attempt, phase=phase, started_at=started)
    code = int(state.get("exit_code", 137))
    reason = state.get("reason") or ("OOMKilled" if state.get("oom_killed") else "Completed" if code == 0 else "Error")
    message = state.get("message") or termination_message(own, attempt.number)
    return replace(
        attempt,
        phase=Phase.EXITED,
        started_at=started,
        finished_at=_moment(state.get("finished_at")),
        exit_code=code,
        reason=reason,
        message=message,
        ready=False,
        started=False,
    )


def lost(attempt: Attempt, now: datetime) -> Attempt:
    """An attempt whose end nobody saw."""
    return replace(
        attempt,
        phase=Phase.EXITED,
        started_at=attempt.started_at or now,
        finished_at=now,
        exit_code=137,
        reason=LOST_REASON,
        message=LOST_MESSAGE,
        ready=False,
        started=False,
    )


def write_failed(own: Path, number: int, reason: str, message: str, now: datetime) -> None:
    """Keeps that an attempt could not be started."""
    at = now.timestamp()
    state = {"running": False, "started_at": at, "finished_at": at, "exit_code": 128, "reason": reason, "message": message}
    write_json(own / f"{number}.state", state)


def write_lost(own: Path, attempt: Attempt) -> None:
    """Keeps that nobody saw the attempt's end."""
    state = {
        "running": False,
        "started_at": attempt.started_at.timestamp() if attempt.started_at else None,
        "finished_at": attempt.finished_at.timestamp() if attempt.finished_at else None,
        "exit_code": attempt.exit_code,
        "reason": attempt.reason,
        "message": attempt.message,
    }
    write_json(own / f"{attempt.number}.state", state)


def termination_message(own: Path, number: int) -> str:
    """What the container wrote to its termination message file."""
    try:
        return (own / f"{number}.termination").read_bytes()[:_MESSAGE_LIMIT].decode(errors="replace")
    except FileNotFoundError:
        return ""


def old_attempts(own: Path) -> list[int]:
    """Attempts whose private folders may go; the last ones stay for their logs."""
    numbers = sorted(int(p.stem) for p in own.glob("*.json") if p.stem.isdigit())
    return numbers[:-_KEPT]


def _streak(own: Path, number: int) -> int:
    try:
        return int(json.loads((own / f"{number}.json").read_text()).get("streak", 0))
    except (FileNotFoundError, ValueError):
        return 0


def _moment(seconds: float | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds is not None else None

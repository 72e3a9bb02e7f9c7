"""What the agent has seen of one Pod: the input of `machine` and `status`, besides the Pod itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

import msgspec

from raysail.api.core.containers import Container
from raysail.api.core.pod import Pod
from raysail.api.meta import format_time


class Phase(StrEnum):
    """Where one attempt at running a container stands."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    EXITED = "exited"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of a container. `number` counts from 0, `streak` since the last run that lasted (for the back-off)."""

    number: int
    phase: Phase
    started_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    streak: int = 0
    hooked: bool = True
    """Its postStart hook, if it has one, has succeeded."""
    started: bool = False
    """The startup probe has succeeded, or there is none."""
    ready: bool = False
    """The readiness probe says so, or there is none."""
    unhealthy: str = ""
    """Why it must be restarted (liveness or startup probe, a failed hook); empty while it is well."""

    @property
    def live(self) -> bool:
        """Whether it has, or soon has, processes."""
        return self.phase is not Phase.EXITED


class Sandbox(StrEnum):
    """Where the Pod's sandbox (its supervisor, address and volumes) stands."""

    ABSENT = "absent"
    PREPARING = "preparing"
    READY = "ready"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything observed of one Pod."""

    sandbox: Sandbox = Sandbox.ABSENT
    sandbox_error: str = ""
    """Why it cannot be prepared at the moment (a missing ConfigMap); it is tried again."""
    address: str = ""
    host_address: str = ""
    start_time: datetime | None = None
    attempts: Mapping[str, tuple[Attempt, ...]] = field(default_factory=dict)
    """By container, oldest first; at least the last two are kept."""
    waiting: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Why a container could not be created (reason, message), such as CreateContainerConfigError; it is tried again."""

    def last(self, name: str) -> Attempt | None:
        """The newest attempt."""
        attempts = self.attempts.get(name)
        return attempts[-1] if attempts else None


def is_sidecar(container: Container) -> bool:
    """An init container that keeps running beside the others."""
    return container.restart_policy == "Always"


def inits(pod: Pod) -> list[Container]:
    """All init containers, sidecars among them."""
    return pod.spec.init_containers or []


def restart_policy(pod: Pod, container: Container, *, init: bool) -> str:
    """What applies to a container that has ended: Always, OnFailure or Never. Init containers are never restarted after a success."""
    own = container.restart_policy
    if own:
        return own
    policy = pod.spec.restart_policy or "Always"
    return "OnFailure" if init and policy == "Always" else policy


def as_deleted(pod: Pod, now: datetime) -> Pod:
    """The Pod as one that is to end at once."""
    meta = msgspec.structs.replace(pod.metadata, deletion_timestamp=format_time(now), deletion_grace_period_seconds=0)
    return msgspec.structs.replace(pod, metadata=meta)

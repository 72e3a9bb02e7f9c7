"""apps/v1 as read views: Deployment, ReplicaSet, StatefulSet, DaemonSet."""

from __future__ import annotations

from typing import Any

from raysail.api.meta import Condition, Object, View


class DeploymentSpec(View, frozen=True):
    """What a Deployment keeps running."""

    replicas: int | None = None
    selector: dict[str, Any] | None = None
    template: dict[str, Any] | None = None
    strategy: dict[str, Any] | None = None
    paused: bool = False
    min_ready_seconds: int = 0
    revision_history_limit: int | None = None
    progress_deadline_seconds: int | None = None


class DeploymentStatus(View, frozen=True):
    """What was observed of a Deployment."""

    observed_generation: int = 0
    replicas: int = 0
    updated_replicas: int = 0
    ready_replicas: int = 0
    available_replicas: int = 0
    unavailable_replicas: int = 0
    terminating_replicas: int | None = None
    collision_count: int | None = None
    conditions: list[Condition] | None = None


class Deployment(Object, frozen=True):
    """ReplicaSets, one per version of the template."""

    spec: DeploymentSpec = DeploymentSpec()
    status: DeploymentStatus = DeploymentStatus()


class ReplicaSetSpec(View, frozen=True):
    """How many Pods of which template."""

    replicas: int | None = None
    selector: dict[str, Any] | None = None
    template: dict[str, Any] | None = None
    min_ready_seconds: int = 0


class ReplicaSetStatus(View, frozen=True):
    """What was observed of a ReplicaSet."""

    observed_generation: int = 0
    replicas: int = 0
    fully_labeled_replicas: int = 0
    ready_replicas: int = 0
    available_replicas: int = 0
    terminating_replicas: int | None = None
    conditions: list[Condition] | None = None


class ReplicaSet(Object, frozen=True):
    """A number of equal Pods."""

    spec: ReplicaSetSpec = ReplicaSetSpec()
    status: ReplicaSetStatus = ReplicaSetStatus()


class StatefulSetOrdinals(View, frozen=True):
    """The first ordinal."""

    start: int = 0


class StatefulSetSpec(View, frozen=True):
    """Pods with stable names."""

    replicas: int | None = None
    selector: dict[str, Any] | None = None
    template: dict[str, Any] | None = None
    service_name: str = ""
    pod_management_policy: str = ""
    update_strategy: dict[str, Any] | None = None
    min_ready_seconds: int = 0
    revision_history_limit: int | None = None
    ordinals: StatefulSetOrdinals | None = None
    volume_claim_templates: list[dict[str, Any]] | None = None
    persistent_volume_claim_retention_policy: dict[str, Any] | None = None


class StatefulSetStatus(View, frozen=True):
    """What was observed of a StatefulSet."""

    observed_generation: int = 0
    replicas: int = 0
    ready_replicas: int = 0
    available_replicas: int = 0
    current_replicas: int = 0
    updated_replicas: int = 0
    current_revision: str = ""
    update_revision: str = ""
    collision_count: int | None = None
    conditions: list[Condition] | None = None


class StatefulSet(Object, frozen=True):
    """Pods with ordinals, started and stopped in order."""

    spec: StatefulSetSpec = StatefulSetSpec()
    status: StatefulSetStatus = StatefulSetStatus()


class DaemonSetSpec(View, frozen=True):
    """A Pod on each Node."""

    selector: dict[str, Any] | None = None
    template: dict[str, Any] | None = None
    update_strategy: dict[str, Any] | None = None
    min_ready_seconds: int = 0
    revision_history_limit: int | None = None


class DaemonSetStatus(View, frozen=True):
    """What was observed of a DaemonSet."""

    observed_generation: int = 0
    current_number_scheduled: int = 0
    desired_number_scheduled: int = 0
    number_misscheduled: int = 0
    number_ready: int = 0
    number_available: int = 0
    number_unavailable: int = 0
    updated_number_scheduled: int = 0
    conditions: list[Condition] | None = None


class DaemonSet(Object, frozen=True):
    """One Pod per Node."""

    spec: DaemonSetSpec = DaemonSetSpec()
    status: DaemonSetStatus = DaemonSetStatus()

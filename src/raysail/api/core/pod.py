"""Pod: what is wanted and what is observed."""

from __future__ import annotations

from typing import Any, Final

from msgspec import field

from raysail.api.core.containers import Container, ResourceRequirements
from raysail.api.core.scheduling import Affinity, PodSchedulingGate, Toleration, TopologySpreadConstraint
from raysail.api.core.volumes import Volume
from raysail.api.meta import Condition, Object, View
from raysail.api.quantity import Quantity

PENDING: Final = "Pending"
RUNNING: Final = "Running"
SUCCEEDED: Final = "Succeeded"
FAILED: Final = "Failed"
UNKNOWN: Final = "Unknown"

POD_SCHEDULED: Final = "PodScheduled"
POD_INITIALIZED: Final = "Initialized"
CONTAINERS_READY: Final = "ContainersReady"
POD_READY: Final = "Ready"
POD_READY_TO_START_CONTAINERS: Final = "PodReadyToStartContainers"
DISRUPTION_TARGET: Final = "DisruptionTarget"


class LocalObjectReference(View, frozen=True):
    """The name of an object in the same namespace."""

    name: str = ""


class HostAlias(View, frozen=True):
    """A line of the Pod's hosts file."""

    ip: str = ""
    hostnames: list[str] | None = None


class DnsOption(View, frozen=True):
    """An option of the resolver."""

    name: str = ""
    value: str | None = None


class PodDnsConfig(View, frozen=True):
    """The resolver's settings."""

    nameservers: list[str] | None = None
    searches: list[str] | None = None
    options: list[DnsOption] | None = None


class PodReadinessGate(View, frozen=True):
    """A condition that must be True, besides ready containers, for the Pod to be Ready."""

    condition_type: str = ""


class PodSecurityContext(View, frozen=True):
    """Identity and rights of all containers of the Pod."""

    run_as_user: int | None = None
    run_as_group: int | None = None
    run_as_non_root: bool | None = None
    supplemental_groups: list[int] | None = None
    supplemental_groups_policy: str | None = None
    fs_group: int | None = None
    fs_group_change_policy: str | None = None
    sysctls: list[dict[str, Any]] | None = None
    se_linux_options: dict[str, Any] | None = None
    seccomp_profile: dict[str, Any] | None = None
    app_armor_profile: dict[str, Any] | None = None
    windows_options: dict[str, Any] | None = None


class PodSpec(View, frozen=True):
    """What a Pod runs and where it may run."""

    containers: list[Container] = field(default_factory=list)
    init_containers: list[Container] | None = None
    ephemeral_containers: list[Container] | None = None
    volumes: list[Volume] | None = None
    restart_policy: str = ""
    node_name: str = ""
    node_selector: dict[str, str] | None = None
    affinity: Affinity | None = None
    tolerations: list[Toleration] | None = None
    topology_spread_constraints: list[TopologySpreadConstraint] | None = None
    scheduling_gates: list[PodSchedulingGate] | None = None
    scheduling_group: dict[str, Any] | None = None
    scheduler_name: str = ""
    priority: int | None = None
    priority_class_name: str = ""
    preemption_policy: str | None = None
    runtime_class_name: str | None = None
    overhead: dict[str, Quantity] | None = None
    resources: ResourceRequirements | None = None
    resource_claims: list[dict[str, Any]] | None = None
    active_deadline_seconds: int | None = None
    termination_grace_period_seconds: int | None = None
    service_account_name: str = ""
    service_account: str = ""
    automount_service_account_token: bool | None = None
    enable_service_links: bool | None = None
    image_pull_secrets: list[LocalObjectReference] | None = None
    hostname: str = ""
    hostname_override: str | None = None
    subdomain: str = ""
    set_hostname_as_fqdn: bool | None = field(default=None, name="setHostnameAsFQDN")
    host_aliases: list[HostAlias] | None = None
    dns_policy: str = ""
    dns_config: PodDnsConfig | None = None
    host_network: bool = False
    host_pid: bool = field(default=False, name="hostPID")
    host_ipc: bool = field(default=False, name="hostIPC")
    host_users: bool | None = None
    share_process_namespace: bool | None = None
    readiness_gates: list[PodReadinessGate] | None = None
    security_context: PodSecurityContext | None = None
    os: LocalObjectReference | None = None


class ContainerStateWaiting(View, frozen=True):
    """Not running yet, and why."""

    reason: str = ""
    message: str = ""


class ContainerStateRunning(View, frozen=True):
    """Running since."""

    started_at: str | None = None


class ContainerStateTerminated(View, frozen=True):
    """Ended, and how."""

    exit_code: int = 0
    signal: int = 0
    reason: str = ""
    message: str = ""
    started_at: str | None = None
    finished_at: str | None = None
    container_id: str = field(default="", name="containerID")


class ContainerState(View, frozen=True):
    """One member is set; none means waiting."""

    waiting: ContainerStateWaiting | None = None
    running: ContainerStateRunning | None = None
    terminated: ContainerStateTerminated | None = None


class ContainerStatus(View, frozen=True):
    """What was observed of one container."""

    name: str = ""
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()
    ready: bool = False
    started: bool | None = None
    restart_count: int = 0
    image: str = ""
    image_id: str = field(default="", name="imageID")
    container_id: str = field(default="", name="containerID")
    allocated_resources: dict[str, Quantity] | None = None
    resources: ResourceRequirements | None = None


class PodIP(View, frozen=True):
    """One address of the Pod or its host."""

    ip: str = ""


class PodStatus(View, frozen=True):
    """What was observed of a Pod. `phase` is Pending, Running, Succeeded, Failed or Unknown."""

    phase: str = ""
    conditions: list[Condition] | None = None
    message: str = ""
    reason: str = ""
    nominated_node_name: str = ""
    host_ip: str = field(default="", name="hostIP")
    host_ips: list[PodIP] | None = field(default=None, name="hostIPs")
    pod_ip: str = field(default="", name="podIP")
    pod_ips: list[PodIP] | None = field(default=None, name="podIPs")
    start_time: str | None = None
    init_container_statuses: list[ContainerStatus] | None = None
    container_statuses: list[ContainerStatus] | None = None
    ephemeral_container_statuses: list[ContainerStatus] | None = None
    qos_class: str = ""
    resize: str = ""
    resource_claim_statuses: list[dict[str, Any]] | None = None
    observed_generation: int = 0


class Pod(Object, frozen=True):
    """One or more containers that run together."""

    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()


class PodTemplateMeta(View, frozen=True):
    """Metadata that a template gives to its Pods."""

    name: str = ""
    generate_name: str = ""
    namespace: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    finalizers: list[str] | None = None


class PodTemplateSpec(View, frozen=True):
    """A template, decoded. Views of other kinds keep templates as plain dicts; `msgspec.convert` makes this where it is needed."""

    metadata: PodTemplateMeta = PodTemplateMeta()
    spec: PodSpec = PodSpec()

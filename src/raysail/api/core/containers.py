"""Containers of a Pod as controllers and the node agent read them: command, environment, probes, hooks, mounts."""

from __future__ import annotations

from typing import Any

from msgspec import field

from raysail.api.meta import View
from raysail.api.quantity import Quantity


class ObjectFieldSelector(View, frozen=True):
    """A field of the Pod itself, such as `status.podIP`."""

    api_version: str = ""
    field_path: str = ""


class ResourceFieldSelector(View, frozen=True):
    """A container's request or limit, such as `limits.cpu`, divided by `divisor`."""

    container_name: str = ""
    resource: str = ""
    divisor: Quantity | None = None


class KeySelector(View, frozen=True):
    """One key of a ConfigMap or Secret."""

    name: str = ""
    key: str = ""
    optional: bool | None = None


class FileKeySelector(View, frozen=True):
    """One key of an environment file in a volume."""

    volume_name: str = ""
    path: str = ""
    key: str = ""
    optional: bool | None = None


class EnvVarSource(View, frozen=True):
    """Where a variable's value comes from; one member is set."""

    field_ref: ObjectFieldSelector | None = None
    resource_field_ref: ResourceFieldSelector | None = None
    config_map_key_ref: KeySelector | None = None
    secret_key_ref: KeySelector | None = None
    file_key_ref: FileKeySelector | None = None


class EnvVar(View, frozen=True):
    """One variable. `value` may refer to earlier ones as `$(NAME)`."""

    name: str = ""
    value: str = ""
    value_from: EnvVarSource | None = None


class EnvSource(View, frozen=True):
    """All keys of a ConfigMap or Secret."""

    name: str = ""
    optional: bool | None = None


class EnvFromSource(View, frozen=True):
    """Variables taken from all keys of a ConfigMap or Secret."""

    prefix: str = ""
    config_map_ref: EnvSource | None = None
    secret_ref: EnvSource | None = None


class ContainerPort(View, frozen=True):
    """A port that the container listens on."""

    container_port: int = 0
    name: str = ""
    protocol: str = "TCP"
    host_port: int = 0
    host_ip: str = field(default="", name="hostIP")


class ResourceClaimUse(View, frozen=True):
    """A resource claim of the Pod that the container uses."""

    name: str = ""
    request: str = ""


class ResourceRequirements(View, frozen=True):
    """What a container asks for and may use, as quantities by resource name."""

    limits: dict[str, Quantity] | None = None
    requests: dict[str, Quantity] | None = None
    claims: list[ResourceClaimUse] | None = None


class VolumeMount(View, frozen=True):
    """Where a volume of the Pod appears in the container."""

    name: str = ""
    mount_path: str = ""
    sub_path: str = ""
    sub_path_expr: str = ""
    read_only: bool = False
    recursive_read_only: str | None = None
    mount_propagation: str | None = None


class VolumeDevice(View, frozen=True):
    """A block device that the container sees."""

    name: str = ""
    device_path: str = ""


class ExecAction(View, frozen=True):
    """A command run in the container; exit code 0 is success."""

    command: list[str] | None = None


class HttpHeader(View, frozen=True):
    """One header of a request."""

    name: str = ""
    value: str = ""


class HttpGetAction(View, frozen=True):
    """A GET; a status from 200 to 399 is success. `port` is a number or a port's name."""

    path: str = ""
    port: int | str = 0
    host: str = ""
    scheme: str = "HTTP"
    http_headers: list[HttpHeader] | None = None


class TcpSocketAction(View, frozen=True):
    """A connection that must open."""

    port: int | str = 0
    host: str = ""


class GrpcAction(View, frozen=True):
    """gRPC's health check."""

    port: int = 0
    service: str | None = None


class SleepAction(View, frozen=True):
    """A pause."""

    seconds: int = 0


class Probe(View, frozen=True):
    """A periodic check. Zero in a number means Kubernetes' default (period 10 s, time-out 1 s, thresholds 1 and 3)."""

    exec: ExecAction | None = None
    http_get: HttpGetAction | None = None
    tcp_socket: TcpSocketAction | None = None
    grpc: GrpcAction | None = None
    initial_delay_seconds: int = 0
    timeout_seconds: int = 0
    period_seconds: int = 0
    success_threshold: int = 0
    failure_threshold: int = 0
    termination_grace_period_seconds: int | None = None


class LifecycleHandler(View, frozen=True):
    """What runs at a point of a container's life; one member is set."""

    exec: ExecAction | None = None
    http_get: HttpGetAction | None = None
    tcp_socket: TcpSocketAction | None = None
    sleep: SleepAction | None = None


class Lifecycle(View, frozen=True):
    """Hooks after the start and before the stop."""

    post_start: LifecycleHandler | None = None
    pre_stop: LifecycleHandler | None = None
    stop_signal: str | None = None


class Capabilities(View, frozen=True):
    """Linux capabilities added and dropped."""

    add: list[str] | None = None
    drop: list[str] | None = None


class SecurityContext(View, frozen=True):
    """Under which identity and with which rights a container runs."""

    privileged: bool | None = None
    run_as_user: int | None = None
    run_as_group: int | None = None
    run_as_non_root: bool | None = None
    read_only_root_filesystem: bool | None = None
    allow_privilege_escalation: bool | None = None
    capabilities: Capabilities | None = None
    proc_mount: str | None = None
    se_linux_options: dict[str, Any] | None = None
    seccomp_profile: dict[str, Any] | None = None
    app_armor_profile: dict[str, Any] | None = None
    windows_options: dict[str, Any] | None = None


class ExitCodeRule(View, frozen=True):
    """Which exit codes a restart rule is about. `operator` is In or NotIn."""

    operator: str = ""
    values: list[int] | None = None


class ContainerRestartRule(View, frozen=True):
    """What a container's exit leads to."""

    action: str = ""
    exit_codes: ExitCodeRule | None = None


class Container(View, frozen=True):
    """One container of a Pod; also used for ephemeral ones (`target_container_name`)."""

    name: str = ""
    image: str = ""
    image_pull_policy: str = ""
    command: list[str] | None = None
    args: list[str] | None = None
    working_dir: str = ""
    ports: list[ContainerPort] | None = None
    env: list[EnvVar] | None = None
    env_from: list[EnvFromSource] | None = None
    resources: ResourceRequirements = ResourceRequirements()
    resize_policy: list[dict[str, Any]] | None = None
    restart_policy: str | None = None
    restart_policy_rules: list[ContainerRestartRule] | None = None
    volume_mounts: list[VolumeMount] | None = None
    volume_devices: list[VolumeDevice] | None = None
    liveness_probe: Probe | None = None
    readiness_probe: Probe | None = None
    startup_probe: Probe | None = None
    lifecycle: Lifecycle | None = None
    termination_message_path: str = ""
    termination_message_policy: str = ""
    security_context: SecurityContext | None = None
    stdin: bool = False
    stdin_once: bool = False
    tty: bool = False
    target_container_name: str = ""

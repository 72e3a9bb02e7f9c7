"""The optional parts of a RayCluster: autoscaler, authentication, fault tolerance, ingress, network policy, TLS, history server."""

from __future__ import annotations

from typing import Annotated, Any, Final

from msgspec import field

from raysail.api.meta import View
from raysail.api.quantity import Quantity
from raysail.api.structural import EnvVars, Field, Resources, Rule

V1: Final = ("v1",)
_PULL_POLICY: Final = Field("When to pull the image: Always, IfNotPresent or Never.")


class AuthOptions(View, frozen=True):
    """Ray's token authentication (Ray 2.52 and later)."""

    enable_k8s_token_auth: Annotated[bool | None, Field("Let Ray ask the Kubernetes API who a token belongs to (Ray 2.55 and later).")] = (
        field(default=None, name="enableK8sTokenAuth")
    )
    secret_name: Annotated[str | None, Field("Secret with the token under auth_token; without it one is made per cluster.")] = None
    mode: Annotated[str, Field("token switches authentication on, disabled off.", enum=("disabled", "token"))] = ""


class AutoscalerOptions(View, frozen=True):
    """Ray's autoscaler, which runs beside the head."""

    resources: Annotated[Resources | None, Field("Requests and limits of the autoscaler's container: 500m CPU and 512Mi by default.")] = (
        None
    )
    image: Annotated[str | None, Field("Another image for the autoscaler than the head's.")] = None
    image_pull_policy: Annotated[str | None, _PULL_POLICY] = None
    security_context: Annotated[
        dict[str, Any] | None,
        Field("Identity and rights of the autoscaler's container.", builtin="io.k8s.api.core.v1.SecurityContext"),
    ] = None
    idle_timeout_seconds: Annotated[int | None, Field("A worker that was idle for so many seconds is removed; 60 by default.")] = None
    upscaling_mode: Annotated[
        str | None,
        Field(
            "How fast to grow: Conservative asks for no more new workers than there are nodes; Default and Aggressive do not wait.",
            enum=("Default", "Aggressive", "Conservative"),
        ),
    ] = None
    version: Annotated[
        str | None, Field("Which autoscaler: v1 or v2; the version of Ray decides where absent.", enum=("v1", "v2"), versions=V1)
    ] = None
    env: Annotated[EnvVars | None, Field("Environment of the autoscaler's container.")] = None
    env_from: Annotated[
        list[Annotated[dict[str, Any], Field(builtin="io.k8s.api.core.v1.EnvFromSource")]] | None,
        Field("ConfigMaps and Secrets whose keys become its environment."),
    ] = None
    volume_mounts: Annotated[
        list[Annotated[dict[str, Any], Field(builtin="io.k8s.api.core.v1.VolumeMount")]] | None,
        Field("Volumes of the head's Pod that it sees."),
    ] = None
    command: Annotated[list[str] | None, Field("Replaces the autoscaler's command.", versions=V1)] = None
    args: Annotated[list[str] | None, Field("Replaces the autoscaler's arguments.", versions=V1)] = None


class RedisCredential(View, frozen=True):
    """A user name or password, or where it is."""

    value_from: Annotated[
        dict[str, Any] | None, Field("Where to take it from, e.g. a key of a Secret.", builtin="io.k8s.api.core.v1.EnvVarSource")
    ] = None
    value: Annotated[str, Field("The value itself.")] = ""


class GcsEmbeddedStorage(View, frozen=True):
    """The volume in which the head keeps its state."""

    claim_name: Annotated[str, Field("An existing claim to use. Excludes size, storageClassName and accessModes.")] = ""
    size: Annotated[Quantity | None, Field("Size of the claim that is made; 1Gi by default.")] = None
    storage_class_name: Annotated[str | None, Field("Storage class of the claim that is made.")] = None
    access_modes: Annotated[list[str] | None, Field("Access modes of the claim that is made; ReadWriteOnce by default.")] = None
    sub_path: Annotated[str, Field("A folder inside the volume.")] = ""
    deletion_policy: Annotated[
        str | None,
        Field(
            "DeleteWithCluster (default) removes the claim with the cluster, Retain keeps it.",
            enum=("DeleteWithCluster", "Retain"),
        ),
    ] = None


class GcsFaultToleranceOptions(View, frozen=True):
    """Where the head keeps its state so that a new head can take over."""

    backend: Annotated[
        str,
        Field(
            "redis (default) or rocksdb. Cannot be changed.",
            enum=("redis", "rocksdb"),
            rules=(Rule("self == oldSelf", "gcsFaultToleranceOptions.backend is immutable"),),
        ),
    ] = ""
    redis_username: Annotated[RedisCredential | None, Field("User name for Redis.")] = None
    redis_password: Annotated[RedisCredential | None, Field("Password for Redis.")] = None
    external_storage_namespace: Annotated[str, Field("Prefix of the keys in Redis; the cluster's UID by default.")] = ""
    redis_address: Annotated[str, Field("Address of Redis, host:port.")] = ""
    storage: Annotated[GcsEmbeddedStorage | None, Field("The volume for the rocksdb backend.")] = None


class CollectorOptions(View, frozen=True):
    """The sidecar that collects logs and events for the history server."""

    image: Annotated[str | None, Field("Image of the collector.")] = None
    image_pull_policy: Annotated[str | None, _PULL_POLICY] = None
    resources: Annotated[Resources | None, Field("Requests and limits of the collector.")] = None
    env: Annotated[EnvVars | None, Field("Environment of the collector, among it where it stores.")] = None


class HistoryServerOptions(View, frozen=True):
    """Settings for KubeRay's history server."""

    collector_options: Annotated[CollectorOptions | None, Field("The collecting sidecar.")] = None


class IngressOptions(View, frozen=True):
    """The Ingress of the dashboard."""

    host: Annotated[str | None, Field("Host name; any where absent.")] = None
    path: Annotated[str | None, Field("Path; / where absent.")] = None
    path_type: Annotated[
        str | None, Field("How the path matches; Prefix where absent.", enum=("Exact", "Prefix", "ImplementationSpecific"))
    ] = None
    tls: Annotated[
        list[Annotated[dict[str, Any], Field(builtin="io.k8s.api.networking.v1.IngressTLS")]] | None, Field("TLS of the Ingress.")
    ] = None


class NetworkPolicyRules(View, frozen=True):
    """Traffic that is let through besides that of the cluster itself."""

    ingress_rules: Annotated[
        list[Annotated[dict[str, Any], Field(builtin="io.k8s.api.networking.v1.NetworkPolicyIngressRule")]] | None,
        Field("Incoming traffic to let through."),
    ] = None
    egress_rules: Annotated[
        list[Annotated[dict[str, Any], Field(builtin="io.k8s.api.networking.v1.NetworkPolicyEgressRule")]] | None,
        Field("Outgoing traffic to let through; where egress is denied, name resolution needs a rule here."),
    ] = None


class WorkerGroupNetworkPolicyRules(NetworkPolicyRules, frozen=True):
    """Rules for one group of workers, in place of those for all workers."""

    group_name: Annotated[str, Field("The group.", required=True)] = ""


class NetworkPolicyConfig(View, frozen=True):
    """Network isolation; traffic inside the cluster is always let through."""

    mode: Annotated[
        str | None,
        Field("What to deny.", enum=("DenyAll", "DenyAllIngress", "DenyAllEgress"), default="DenyAll"),
    ] = None
    head: Annotated[NetworkPolicyRules | None, Field("Rules for the head.")] = None
    worker: Annotated[NetworkPolicyRules | None, Field("Rules for all workers.")] = None
    worker_groups: Annotated[
        list[WorkerGroupNetworkPolicyRules] | None,
        Field("Rules for single groups, in place of those for all workers.", list_type="map", list_map_keys=("groupName",)),
    ] = None


class TlsOptions(View, frozen=True):
    """Mutual TLS between Ray's processes."""

    enabled: Annotated[bool | None, Field("Whether it is on.")] = None

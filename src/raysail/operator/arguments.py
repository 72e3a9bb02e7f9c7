"""The command line of the controllers process: our own flags, and KubeRay's under KubeRay's names.

Flags are read as Go's flag package reads them: `--name=value` and `--name value`, one dash or two, booleans with or without a value. KubeRay's flags
that mean nothing here (log encoders, client rate limits, batch schedulers) and those of Kueue's load test are accepted and named in a warning when they ask for something.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NoReturn

from raysail.builtin.settings import BuiltinSettings
from raysail.kube import kubeconfig
from raysail.kube.connection import Connection, unix_socket
from raysail.operator.documents import Section, read_document
from raysail.operator.feature_gates import gate_faults
from raysail.operator.queue_configuration import read_queue_configuration
from raysail.operator.settings import QUEUE, RAY, LeaderSettings, OperatorSettings, SettingsError, parse_controllers
from raysail.operator.webhook_arguments import webhook_settings
from raysail.queue.settings import QueueSettings
from raysail.ray.settings import RaySettings

logger = logging.getLogger(__name__)

_BOOLEANS: Final = {"1": True, "t": True, "true": True, "0": False, "f": False, "false": False}
_WITHOUT_EFFECT: Final = (
    "log-file-encoder",
    "log-stdout-encoder",
    "qps",
    "burst",
    "zap-log-level",
    "zap-devel",
    "zap-encoder",
    "zap-stacktrace-level",
    "zap-time-encoding",
    # Of the program that Kueue's load test starts (test/performance/scheduler); topology is on anyway.
    "enableTAS",
    "cpuprofile",
    "memprofile",
)
_UNSUPPORTED: Final = ("batch-scheduler", "enable-batch-scheduler")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise SettingsError(f"{message}\n{self.format_usage().strip()}")


def parser() -> argparse.ArgumentParser:
    """All flags."""
    flags = _Parser(prog="raysail operator", description="Runs the controllers against a Kubernetes API.", allow_abbrev=False)
    where = flags.add_argument_group("which API, which controllers")
    _add(where, "kubeconfig", type=Path, help="kubeconfig file (default: KUBECONFIG, the cluster this runs in, ~/.kube/config)")
    _add(where, "context", default="", help="its context")
    _add(where, "socket", type=Path, help="Unix socket of an embedded API, instead of a kubeconfig")
    _add(where, "only", choices=(RAY, QUEUE), help="only the Ray controllers, or only the queue")
    _add(where, "controllers", default="", help="which controllers, e.g. ray,queue,gc or *,-binder (default: ray,queue)")
    _add(where, "watch-namespace", default="", help="comma separated namespaces to limit everything to")
    settings = flags.add_argument_group("settings")
    _add(settings, "config", type=Path, help="KubeRay's Configuration file (config.ray.io)")
    _add(settings, "queue-config", type=Path, help="Kueue's Configuration file (config.kueue.x-k8s.io)")
    _add(settings, "feature-gates", default="", help="KubeRay's feature gates, A=true,B=false")
    _add(settings, "queue-feature-gates", default="", help="Kueue's feature gates, A=true,B=false")
    _add(settings, "reconcile-concurrency", type=int, help="how many Ray objects of a kind are reconciled at the same time (1)")
    _boolean(settings, "use-kubernetes-proxy", "reach Ray's dashboards through the API server's proxy")
    _boolean(settings, "ray-token", "Ray's token authentication where a cluster does not say")
    _boolean(settings, "submit-early", "submit a RayJob when its head answers, before all probes have passed")
    _boolean(settings, "resolve-services", "look up the Pods behind Services ourselves (this process runs outside of Pods)")
    _add(settings, "root-ca-file", type=Path, help="certificate authority to publish in each namespace")
    _add(settings, "volumes-folder", type=Path, help="where PersistentVolumeClaims get their folders")
    _add(where, "extension-socket", type=Path, help="Unix socket for API groups answered here (visibility), registered at the embedded API")
    foreign = flags.add_argument_group("on a Kubernetes API server")
    _boolean(foreign, "install", "bring the CustomResourceDefinitions of the chosen controllers, or bring them up to date")
    _add(foreign, "webhook-address", default="", help="host:port of admission and conversion webhooks, which are then registered (none)")
    _add(foreign, "webhook-url", default="", help="base URL at which the API server reaches them (https://HOST:PORT of the address)")
    _add(foreign, "webhook-service", default="", help="NAMESPACE/NAME[:PORT] of the Service that leads to them, instead of a URL")
    _add(foreign, "webhook-cert-dir", type=Path, help="folder with tls.crt, tls.key and ca.crt (default: a certificate of its own)")
    process = flags.add_argument_group("process")
    _boolean(process, "enable-leader-election", "only one of several processes works at a time")
    _add(process, "leader-election-namespace", default="", help="namespace of the lease (default: that of the kubeconfig or Pod)")
    _add(process, "health-probe-bind-address", default="", help="host:port of /healthz and /readyz (none)")
    _add(process, "metrics-addr", default="", help="host:port of /metrics (none)")
    _add(process, "log-file-path", default="", help="log into this file too")
    _add(process, "log-level", default="", help="DEBUG, INFO, WARNING, ERROR (INFO)")
    _add(process, "metricsPort", type=int, default=0, help=argparse.SUPPRESS)
    for name in (*_WITHOUT_EFFECT, *_UNSUPPORTED):
        _add(process, name, nargs="?", const="true", default=None, help=argparse.SUPPRESS)
    _boolean(process, "enable-metrics", argparse.SUPPRESS)
    return flags


def parse(arguments: Sequence[str], environment: Mapping[str, str] = os.environ) -> OperatorSettings:
    """The settings that a command line, the environment and the named files make. Raises SettingsError."""
    given = parser().parse_args(list(arguments))
    for name in _UNSUPPORTED:
        if getattr(given, name.replace("-", "_")) not in (None, "", "false"):
            logger.warning("--%s is not supported: Pods are placed by the cluster's own scheduler", name)
    document = read_document(given.config) if given.config else {}
    if str(document.get("apiVersion", "")).startswith("config.kueue.x-k8s.io/") and not given.queue_config:
        given.queue_config, document = given.config, {}  # Kueue's own name for its file
    file = Section(str(given.config), document)
    connection = _connection(given)
    namespaces = given.watch_namespace or file.text("watchNamespace")
    log_file = given.log_file_path or file.text("logFile")
    metrics_port = f"127.0.0.1:{given.metricsPort}" if given.metricsPort else ""
    queue_document = read_document(given.queue_config) if given.queue_config else {}
    return OperatorSettings(
        connection=connection,
        controllers=_controllers(given),
        namespaces=tuple(part.strip() for part in namespaces.split(",") if part.strip()),
        ray=_ray(given, document, environment),
        queue=_queue(given),
        builtin=BuiltinSettings(root_ca_file=given.root_ca_file, volumes_folder=given.volumes_folder),
        leader=_leader(given, file, connection),
        health_address=_address(given.health_probe_bind_address or file.text("probeAddr")),
        metrics_address=_address(given.metrics_addr or file.text("metricsAddr") or metrics_port),
        install=bool(given.install),
        extension_socket=given.extension_socket,
        webhooks=webhook_settings(given, queue_document, _address(given.webhook_address), environment),
        log_file=Path(log_file) if log_file else None,
        log_level=(given.log_level or "INFO").upper(),
    )


def _controllers(given: argparse.Namespace) -> frozenset[str]:
    if given.only and given.controllers:
        raise SettingsError("--only and --controllers are both given; keep one")
    return parse_controllers(given.only or given.controllers or f"{RAY},{QUEUE}")


def _connection(given: argparse.Namespace) -> Connection:
    if given.socket:
        return unix_socket(given.socket)
    try:
        return kubeconfig.discover(given.kubeconfig, given.context)
    except kubeconfig.KubeconfigError as error:
        raise SettingsError(str(error)) from error


def _ray(given: argparse.Namespace, document: Mapping[str, Any], environment: Mapping[str, str]) -> RaySettings:
    try:
        settings = RaySettings().with_environment(environment)
        if document:
            settings = settings.with_configuration(document)
        gates = settings.gates.with_text(given.feature_gates if RAY in _controllers(given) else "")
    except ValueError as error:
        raise SettingsError(f"{given.config}: {error}" if document and "--feature-gates" not in str(error) else str(error)) from error
    changes: dict[str, Any] = {"gates": gates}
    if given.reconcile_concurrency is not None:
        if given.reconcile_concurrency < 1:
            raise SettingsError(f"--reconcile-concurrency={given.reconcile_concurrency}: must be at least 1")
        changes["concurrency"] = given.reconcile_concurrency
    for flag, attribute in (
        ("use_kubernetes_proxy", "use_kubernetes_proxy"),
        ("ray_token", "token_authentication"),
        ("submit_early", "submit_when_head_answers"),
        ("resolve_services", "resolve_services"),
    ):
        if getattr(given, flag) is not None:
            changes[attribute] = getattr(given, flag)
    return replace(settings, **changes)


def _queue(given: argparse.Namespace) -> QueueSettings:
    settings = read_queue_configuration(given.queue_config) if given.queue_config else QueueSettings()
    gates = dict(settings.feature_gates)
    # Kueue's flag has the same name as KubeRay's; without the Ray controllers it can only be meant for the queue.
    text = given.queue_feature_gates or ("" if RAY in _controllers(given) else given.feature_gates)
    for part in filter(None, (p.strip() for p in text.split(","))):
        name, _, value = part.partition("=")
        if value.strip().lower() not in _BOOLEANS:
            raise SettingsError(f"--queue-feature-gates: {part!r}: expected NAME=true or NAME=false")
        gates[name.strip()] = _BOOLEANS[value.strip().lower()]
    for fault in gate_faults(gates):
        raise SettingsError(f"--queue-feature-gates: {fault.message}")
    return replace(settings, feature_gates=gates)


def _leader(given: argparse.Namespace, file: Section, connection: Connection) -> LeaderSettings | None:
    # KubeRay elects by default; a process on one machine that nobody else runs need not, so here it is asked for.
    wanted = given.enable_leader_election if given.enable_leader_election is not None else file.flag("enableLeaderElection", False)
    if not wanted:
        return None
    namespace = given.leader_election_namespace or file.text("leaderElectionNamespace") or connection.namespace
    return LeaderSettings(namespace=namespace)


def _address(text: str) -> str:
    """host:port; KubeRay's `0` means none."""
    if text in ("", "0"):
        return ""
    host, separator, port = text.rpartition(":")
    if not separator or not port.isdigit():
        raise SettingsError(f"{text!r} is not an address such as 127.0.0.1:8080 or :8080")
    return f"{host}:{port}"


def _add(group: argparse._ArgumentGroup, name: str, **options: Any) -> None:
    group.add_argument(f"--{name}", f"-{name}", dest=name.replace("-", "_"), **options)


def _boolean(group: argparse._ArgumentGroup, name: str, text: str) -> None:
    def read(value: str) -> bool:
        if value.lower() not in _BOOLEANS:
            raise argparse.ArgumentTypeError(f"{value!r} is neither true nor false")
        return _BOOLEANS[value.lower()]

    _add(group, name, nargs="?", const=True, default=None, type=read, metavar="BOOL", help=text)

"""Which clusters an AdmissionCheck of MultiKueue may hand jobs to, and whose kubeconfig is taken. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import yaml

from raysail.api import conditions
from raysail.api.kueue import AdmissionCheck, MultiKueueCluster, MultiKueueConfig
from raysail.api.resources import MULTI_KUEUE_CONFIGS
from raysail.queue.checks.parameters import ParametersError, config_of
from raysail.queue.model.activity import Activity


class NoClustersError(Exception):
    """The settings name no cluster."""


def clusters_of(check: AdmissionCheck, find: Callable[[str], MultiKueueConfig | None]) -> list[str]:
    """Names of MultiKueueClusters in the order of preference. Raises ParametersError, NoClustersError."""
    clusters = config_of(check, MULTI_KUEUE_CONFIGS, find).spec.clusters
    if not clusters:
        raise NoClustersError("no active clusters")
    return clusters


def activity_of_check(
    check: AdmissionCheck, find: Callable[[str], MultiKueueConfig | None], cluster: Callable[[str], MultiKueueCluster | None]
) -> Activity:
    """The condition Active of the check: as long as one of its clusters can be used."""
    try:
        names = config_of(check, MULTI_KUEUE_CONFIGS, find).spec.clusters
    except ParametersError as error:
        return Activity(False, "BadConfig", f"Cannot load the AdmissionChecks parameters: {error}")
    missing = [name for name in names if cluster(name) is None]
    inactive = [
        name for name in names if (found := cluster(name)) is not None and not conditions.is_true(found.status.conditions, "Active")
    ]
    if not missing and not inactive:
        return Activity(True, "Active", "The admission check is active")
    some = len(missing) + len(inactive) < len(names)
    parts = [f"{what} clusters: [{' '.join(which)}]" for what, which in (("Missing", missing), ("Inactive", inactive)) if which]
    return Activity(some, "SomeActiveClusters" if some else "NoUsableClusters", ", ".join(parts))


class KubeconfigRefusedError(Exception):
    """A kubeconfig that Kueue does not take from a Secret: it would run programs, read files here, or not check who answers."""


_HOST = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def check_kubeconfig(text: str) -> None:
    """Raises KubeconfigRefusedError. Source: Kueue validateKubeconfig."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise KubeconfigRefusedError(f"failed to parse kubeconfig(apiconfig): {error}") from error
    if not isinstance(document, dict):
        raise KubeconfigRefusedError("failed to parse kubeconfig(apiconfig): it is not a mapping")
    users: list[Mapping[str, Any]] = [entry.get("user") or {} for entry in document.get("users") or ()]
    if any(user.get("tokenFile") for user in users):
        raise KubeconfigRefusedError("tokenFile is not allowed")
    for entry in document.get("clusters") or ():
        name, cluster = entry.get("name", ""), entry.get("cluster") or {}
        if cluster.get("insecure-skip-tls-verify"):
            raise KubeconfigRefusedError(f"insecure TLS verification is not allowed for cluster {name}")
        if cluster.get("certificate-authority"):
            text = "certificate-authority file paths are not allowed, use certificate-authority-data for cluster"
            raise KubeconfigRefusedError(f"{text} {name}")
        if not cluster.get("server"):
            raise KubeconfigRefusedError(f"server URL is required for cluster {name}")
        if not _trusted(str(cluster["server"])):
            raise KubeconfigRefusedError("untrusted server endpoint")
    for user in users:
        if user.get("username") or user.get("password"):
            raise KubeconfigRefusedError("basic auth is not allowed")
        if user.get("exec"):
            raise KubeconfigRefusedError("exec plugins are not allowed")
        if user.get("auth-provider"):
            raise KubeconfigRefusedError("auth providers are not allowed")


def _trusted(server: str) -> bool:
    host = urlsplit(server.lower()).hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return len(host) <= 253 and _HOST.fullmatch(host) is not None
    return True

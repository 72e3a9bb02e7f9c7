"""Which clusters an AdmissionCheck of MultiKueue may hand jobs to. Pure."""

from __future__ import annotations

from collections.abc import Callable

from raysail.api.kueue import AdmissionCheck, MultiKueueConfig
from raysail.api.resources import MULTI_KUEUE_CONFIGS
from raysail.queue.checks.parameters import config_of


class NoClustersError(Exception):
    """The settings name no cluster."""


def clusters_of(check: AdmissionCheck, find: Callable[[str], MultiKueueConfig | None]) -> list[str]:
    """Names of MultiKueueClusters in the order of preference. Raises ParametersError, NoClustersError."""
    clusters = config_of(check, MULTI_KUEUE_CONFIGS, find).spec.clusters
    if not clusters:
        raise NoClustersError("no active clusters")
    return clusters

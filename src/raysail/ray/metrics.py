"""KubeRay's metrics under KubeRay's names (controllers/ray/metrics): dashboards and alerts made for it go on working.

What objects say is read from the caches at each scrape; two durations are measured when an object changes, and go with the object.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from raysail.api.conditions import is_true
from raysail.api.meta import Object, parse_time
from raysail.api.prometheus import Family, label_text, number
from raysail.api.ray import RayCluster, RayJob, RayService, names
from raysail.api.ray import cluster as cluster_states
from raysail.api.ray import job as job_states
from raysail.api.ray import service as service_states
from raysail.api.resources import RAY_CLUSTERS, RAY_JOBS, RAY_SERVICES
from raysail.kube.manager import Manager

_ENDS: Final = job_states.TERMINAL_DEPLOYMENT_STATUSES
_Labels = dict[str, str]


class RayMetrics:
    """`lines` is what the manager asks for."""

    def __init__(self, manager: Manager) -> None:
        self._clock = manager.clock
        self._clusters = manager.informer(RAY_CLUSTERS, RayCluster)
        self._jobs = manager.informer(RAY_JOBS, RayJob)
        self._services = manager.informer(RAY_SERVICES, RayService)
        self._provisioned: dict[str, tuple[_Labels, float]] = {}
        self._executed: dict[str, dict[tuple[str, int], tuple[_Labels, float]]] = {}
        self._clusters.on_change(self.cluster_changed)
        self._jobs.on_change(self.job_changed)

    def cluster_changed(self, old: RayCluster | None, new: RayCluster | None) -> None:
        """Measures how long a cluster took until all its Pods were ready for the first time."""
        if new is None:
            if old is not None:
                self._provisioned.pop(old.metadata.uid, None)
        elif old is not None and not _is_provisioned(old) and _is_provisioned(new):
            self._provisioned[new.metadata.uid] = (_identity(new), self._seconds_since(new.metadata.creation_timestamp))

    def job_changed(self, old: RayJob | None, new: RayJob | None) -> None:
        """Measures how long a job took, each try by itself."""
        if new is None:
            if old is not None:
                self._executed.pop(old.metadata.uid, None)
            return
        state = new.status.job_deployment_status
        if old is None or old.status.job_deployment_status in (state, *_ENDS) or state not in (*_ENDS, job_states.DEPLOYMENT_RETRYING):
            return
        tries = old.status.failed or 0
        labels = {**_identity(new), "job_deployment_status": state, "retry_count": str(tries)}
        started = new.status.start_time or old.status.start_time
        self._executed.setdefault(new.metadata.uid, {})[state, tries] = (labels, self._seconds_since(started))

    def lines(self) -> Iterable[str]:
        """Prometheus' text format."""
        clusters, jobs, services = self._clusters.list(), self._jobs.list(), self._services.list()
        yield from _gauge(
            "kuberay_cluster_provisioned_duration_seconds",
            "The time, in seconds, when a RayCluster's `RayClusterProvisioned` status transitions from false (or unset) to true",
            self._provisioned.values(),
        )
        yield from _gauge(
            "kuberay_cluster_info",
            "Metadata information about RayCluster custom resources",
            ((_identity(c) | {"owner_kind": (c.metadata.labels or {}).get(names.ORIGINATED_FROM_CRD_LABEL, "None")}, 1) for c in clusters),
        )
        yield from _gauge(
            "kuberay_cluster_condition_provisioned",
            "Indicates whether the RayCluster is provisioned",
            ((_identity(c) | {"condition": _shown(_is_provisioned(c))}, 1) for c in clusters),
        )
        yield from _gauge(
            "kuberay_job_execution_duration_seconds",
            "Duration from when the RayJob CR's JobDeploymentStatus transitions from Initializing to either the Retrying state or a terminal state",
            (sample for tries in self._executed.values() for sample in tries.values()),
        )
        yield from _gauge("kuberay_job_info", "Metadata information about RayJob custom resources", ((_identity(j), 1) for j in jobs))
        yield from _gauge(
            "kuberay_job_deployment_status",
            "The RayJob's current deployment status",
            ((_identity(j) | {"deployment_status": j.status.job_deployment_status}, 1) for j in jobs),
        )
        yield from _gauge(
            "kuberay_service_info", "Metadata information about RayService custom resources", ((_identity(s), 1) for s in services)
        )
        for name, condition, told in (
            ("kuberay_service_condition_ready", service_states.READY, "is ready: users can send requests to it"),
            ("kuberay_service_condition_upgrade_in_progress", service_states.UPGRADE_IN_PROGRESS, "is performing a zero-downtime upgrade"),
        ):
            samples = ((_identity(s) | {"condition": _shown(is_true(s.status.conditions, condition))}, 1) for s in services)
            yield from _gauge(name, f"Describes whether the RayService {told}", samples)

    def _seconds_since(self, text: str | None) -> float:
        return max(0.0, (self._clock.now() - parse_time(text)).total_seconds()) if text else 0.0


def _is_provisioned(cluster: RayCluster) -> bool:
    return is_true(cluster.status.conditions, cluster_states.RAY_CLUSTER_PROVISIONED)


def _identity(obj: Object) -> _Labels:
    return {"name": obj.metadata.name, "namespace": obj.metadata.namespace, "uid": obj.metadata.uid}


def _shown(flag: bool) -> str:
    return "true" if flag else "false"


def _gauge(name: str, told: str, samples: Iterable[tuple[_Labels, float]]) -> Iterable[str]:
    """Nothing at all while there are no samples, as Prometheus' clients do."""
    found = [f"{name}{label_text(labels.items())} {number(value)}" for labels, value in samples]
    if found:
        yield from Family(name, "gauge", told, ()).head()
        yield from found

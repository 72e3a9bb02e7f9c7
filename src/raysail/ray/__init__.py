"""KubeRay's job: RayCluster, RayJob, RayService and RayCronJob, on any Kubernetes API.

Pure builders and state machines decide, thin controllers act: `pods/` and `services/` build objects, `cluster/` plans a cluster's Pods, `job/` walks a
job through its states, `service/` moves traffic between clusters, `cronjob/` keeps schedules, `dashboard` speaks to Ray.
"""

from __future__ import annotations

from raysail.kube.manager import Manager
from raysail.ray.addresses import addresses_of_services
from raysail.ray.cluster.controller import ClusterController
from raysail.ray.cronjob.controller import CronJobController
from raysail.ray.job.controller import JobController
from raysail.ray.metrics import RayMetrics
from raysail.ray.network.controller import NetworkPolicyController
from raysail.ray.service.controller import ServiceController
from raysail.ray.settings import FeatureGates, RaySettings

__all__ = ["FeatureGates", "RaySettings", "register"]


def register(manager: Manager, settings: RaySettings) -> None:
    """Adds the Ray controllers to a process of controllers."""
    manager.add(ClusterController(manager, settings).controller)
    if settings.gates.ray_cluster_network_policy:
        manager.add(NetworkPolicyController(manager, settings).controller)
    if settings.gates.ray_cron_job:
        manager.add(CronJobController(manager, settings).controller)
    addresses = addresses_of_services(manager) if settings.resolve_services else None
    services = ServiceController(manager, settings, addresses)
    manager.add(services.controller)
    manager.add_service("ray services", services.dashboard.run)
    jobs = JobController(manager, settings, addresses)
    manager.add(jobs.controller)
    manager.add_service("ray jobs", jobs.follower.run)
    manager.add_metrics(RayMetrics(manager).lines)

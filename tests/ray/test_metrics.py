"""KubeRay's metrics."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

from raysail.api.ray import RayCluster, RayJob
from raysail.kube.clock import VirtualClock
from raysail.kube.manager import Manager
from raysail.ray.metrics import RayMetrics
from tests.ray.builders import NOW, ago, cluster, job, ray_service

PROVISIONED = {"conditions": [{"type": "RayClusterProvisioned", "status": "True", "reason": "x", "lastTransitionTime": ago(0)}]}
READY = {"conditions": [{"type": "Ready", "status": "True", "reason": "x", "lastTransitionTime": ago(0)}]}


class World:
    """A manager with informers that hold what they are given."""

    def __init__(self, **held: list[Any]) -> None:
        self.clock, self._held = VirtualClock(NOW), held

    def informer(self, resource: Any, _: type[Any]) -> Any:
        return Held(self._held.get(resource.plural, []))


class Held:
    def __init__(self, objects: list[Any]) -> None:
        self._objects = objects

    def list(self) -> list[Any]:
        return self._objects

    def on_change(self, _: Any) -> None:
        pass


def metrics(**held: list[Any]) -> RayMetrics:
    return RayMetrics(cast("Manager", World(**held)))


def series(found: RayMetrics) -> list[str]:
    return [line for line in found.lines() if not line.startswith("#")]


def at(state: str, failed: int = 0) -> RayJob:
    return job(status={"jobDeploymentStatus": state, "startTime": ago(90), "failed": failed})


def test_what_objects_say() -> None:
    labels = {"ray.io/originated-from-crd": "RayJob"}
    found = metrics(
        rayclusters=[cluster(status=PROVISIONED), cluster(name="of-job", metadata={"labels": labels})],
        rayjobs=[at("Running")],
        rayservices=[ray_service(status=READY)],
    )
    assert series(found) == [
        'kuberay_cluster_info{name="rc",namespace="ns",uid="uid-rc",owner_kind="None"} 1',
        'kuberay_cluster_info{name="of-job",namespace="ns",uid="uid-of-job",owner_kind="RayJob"} 1',
        'kuberay_cluster_condition_provisioned{name="rc",namespace="ns",uid="uid-rc",condition="true"} 1',
        'kuberay_cluster_condition_provisioned{name="of-job",namespace="ns",uid="uid-of-job",condition="false"} 1',
        'kuberay_job_info{name="rj",namespace="ns",uid="uid-rj"} 1',
        'kuberay_job_deployment_status{name="rj",namespace="ns",uid="uid-rj",deployment_status="Running"} 1',
        'kuberay_service_info{name="rs",namespace="ns",uid="uid-rs"} 1',
        'kuberay_service_condition_ready{name="rs",namespace="ns",uid="uid-rs",condition="true"} 1',
        'kuberay_service_condition_upgrade_in_progress{name="rs",namespace="ns",uid="uid-rs",condition="false"} 1',
    ]


def test_nothing_is_told_of_nothing() -> None:
    assert list(metrics().lines()) == []


def made(seconds: float, status: dict[str, Any] | None = None) -> RayCluster:
    return cluster(status=status, metadata={"creationTimestamp": ago(seconds)})


def test_how_long_a_cluster_took_is_measured_once_and_goes_with_it() -> None:
    found = metrics()
    found.cluster_changed(None, made(99, PROVISIONED))  # was there before us: nobody saw when
    assert series(found) == []
    found.cluster_changed(made(42), made(42, PROVISIONED))
    found.cluster_changed(made(50, PROVISIONED), made(50, PROVISIONED))
    assert series(found) == ['kuberay_cluster_provisioned_duration_seconds{name="rc",namespace="ns",uid="uid-rc"} 42']
    found.cluster_changed(made(50, PROVISIONED), None)
    assert series(found) == []


def test_every_try_of_a_job_is_measured() -> None:
    found = metrics()
    found.job_changed(at("Running"), at("Retrying", 1))
    found.job_changed(at("Retrying", 1), at("New", 1))
    found.job_changed(at("Running", 1), at("Failed", 2))
    found.job_changed(at("Failed", 2), at("Failed", 2))
    told = 'kuberay_job_execution_duration_seconds{name="rj",namespace="ns",uid="uid-rj",job_deployment_status='
    assert series(found) == [f'{told}"Retrying",retry_count="0"}} 90', f'{told}"Failed",retry_count="1"}} 90']
    found.job_changed(at("Failed", 2), None)
    assert series(found) == []


def test_durations_count_to_now() -> None:
    world = World()
    world.clock._now += timedelta(seconds=10)
    found = RayMetrics(cast("Manager", world))
    found.job_changed(at("Running"), at("Complete"))
    assert series(found)[0].endswith(" 100")

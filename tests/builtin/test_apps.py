"""Deployments, ReplicaSets and StatefulSets on the embedded API, and the arithmetic of rolling updates as a table."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from raysail.api.apps import Deployment, ReplicaSet
from raysail.api.resources import DEPLOYMENTS, PERSISTENT_VOLUME_CLAIMS, PODS, REPLICA_SETS, STATEFUL_SETS
from raysail.builtin.amounts import amount_of
from raysail.builtin.deployments.decide import decide
from tests.builtin.conftest import Cluster, cluster

NOW = datetime(2026, 1, 1, 0, 10, tzinfo=UTC)


def template(image: str = "i", **spec: Any) -> dict[str, Any]:
    return {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "c", "image": image}], **spec}}


def deployment(replicas: int = 4, image: str = "new", **spec: Any) -> Deployment:
    wire = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "namespace": "ns", "uid": "uid-d"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": {"app": "x"}}, "template": template(image), **spec},
    }
    return msgspec.convert(wire, Deployment)


def replica_set(name: str, replicas: int, available: int | None = None, image: str = "", created: str = "1") -> ReplicaSet:
    labels = {"app": "x", "pod-template-hash": name}
    wire = {
        "metadata": {
            "name": name,
            "namespace": "ns",
            "uid": f"uid-{name}",
            "creationTimestamp": created,
            "annotations": {"deployment.kubernetes.io/revision": "1"},
        },
        "spec": {"replicas": replicas, "template": {**template(image or name), "metadata": {"labels": labels}}},
        "status": {"replicas": replicas, "availableReplicas": replicas if available is None else available},
    }
    return msgspec.convert(wire, ReplicaSet)


@dataclass(frozen=True)
class Case:
    rule: str
    deployment: Deployment
    sets: list[ReplicaSet] = field(default_factory=list)
    create: int | None = None
    scale: dict[str, int] = field(default_factory=dict)
    delete: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return self.rule


RECREATE = {"strategy": {"type": "Recreate"}}
NO_SURGE = {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}}

CASES = [
    Case("the first ReplicaSet has all replicas", deployment(), create=4),
    Case("the second has the room that the surge leaves", deployment(), [replica_set("old", 4)], create=1),
    Case("without surge it has none at first", deployment(**NO_SURGE), [replica_set("old", 4)], create=0),
    Case("grows and shrinks step by step", deployment(), [replica_set("old", 4), replica_set("new", 1, 0)], scale={"old": 3}),
    Case("shrinks more as the new ones become available", deployment(), [replica_set("old", 3), replica_set("new", 2, 2)], scale={"old": 1}),
    Case("then grows", deployment(), [replica_set("old", 1), replica_set("new", 2, 2)], scale={"new": 4}),
    Case("ends", deployment(), [replica_set("old", 0), replica_set("new", 4)]),
    Case("what is broken in the old one goes first", deployment(), [replica_set("old", 4, 3), replica_set("new", 1, 0)], scale={"old": 3}),
    Case("scales", deployment(replicas=2), [replica_set("new", 4)], scale={"new": 2}),
    Case("Recreate: first all old ones stop", deployment(**RECREATE), [replica_set("old", 4), replica_set("new", 0)], scale={"old": 0}),
    Case("Recreate: then the new ones start", deployment(**RECREATE), [replica_set("old", 0), replica_set("new", 0)], scale={"new": 4}),
    Case("paused: no new template, but scaling", deployment(replicas=2, paused=True), [replica_set("old", 4)], scale={"old": 2}),
    Case("keeps only so many old ones", deployment(revisionHistoryLimit=1), [replica_set("a", 0), replica_set("b", 0), replica_set("new", 4)], delete=["a"]),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_rolling(case: Case) -> None:
    step = decide(case.deployment, case.sets, NOW)
    assert (step.create["spec"]["replicas"] if step.create else None) == case.create
    assert step.scale == case.scale
    assert [r.metadata.name for r in step.delete] == case.delete


@pytest.mark.parametrize(("value", "up", "down"), [(2, 2, 2), ("25%", 2, 1), ("100%", 5, 5), ("0%", 0, 0), (None, 0, 0)])
def test_amounts(value: int | str | None, up: int, down: int) -> None:
    assert amount_of(value, 5, up=True) == up
    assert amount_of(value, 5, up=False) == down


async def make(c: Cluster, resource: Any, name: str, replicas: int = 2, **spec: Any) -> None:
    await c.create(resource, name, spec={"replicas": replicas, "selector": {"matchLabels": {"app": "x"}}, "template": template(), **spec})


async def ready(c: Cluster, count: int) -> None:
    for pod in await c.pods_until(lambda pods: len([p for p in pods if not p.metadata.deletion_timestamp]) == count):
        if pod.status.phase != "Running":
            await c.set_pod(pod.metadata.name)


async def test_a_deployment_from_one_template_to_the_next() -> None:
    async with cluster("deployment", "replicaset", "gc") as c:
        await make(c, DEPLOYMENTS, "d")
        await ready(c, 2)
        found = await c.until(DEPLOYMENTS, "d", lambda o: o and (o.get("status") or {}).get("availableReplicas") == 2)
        assert found is not None
        said = {cond["type"]: cond["reason"] for cond in found["status"]["conditions"]}
        assert said["Available"] == "MinimumReplicasAvailable"
        assert found["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "1"
        await c.client.patch(DEPLOYMENTS, "d", {"spec": {"template": template("other")}}, "ns")

        def images() -> list[str]:
            return [p.spec.containers[0].image for p in c.pods()]

        for _ in range(50):
            for pod in c.pods():
                if pod.status.phase != "Running" and not pod.metadata.deletion_timestamp:
                    await c.set_pod(pod.metadata.name)
                elif pod.metadata.deletion_timestamp:
                    await c.end_pod(pod.metadata.name)
            if images() == ["other", "other"]:
                break
            before = c.pods()
            await c.pods_until(lambda pods, before=before: pods != before)
        assert images() == ["other", "other"]
        sets = await c.listed(REPLICA_SETS)
        assert sorted(s["spec"]["replicas"] for s in sets) == [0, 2]
        (current,) = (s["metadata"]["name"] for s in sets if s["spec"]["replicas"] == 2)
        await c.client.patch(DEPLOYMENTS, "d", {"spec": {"replicas": 1}}, "ns")
        scaled = await c.until(REPLICA_SETS, current, lambda o: o and o["spec"]["replicas"] == 1)
        assert scaled is not None
        assert scaled["metadata"]["annotations"]["deployment.kubernetes.io/desired-replicas"] == "1"


async def test_a_replica_set_replaces_and_scales() -> None:
    async with cluster("replicaset") as c:
        await make(c, REPLICA_SETS, "r", 3)
        pods = await c.pods_until(lambda pods: len(pods) == 3)
        gone = pods[0]
        await c.client.delete(PODS, gone.metadata.name, "ns", grace_seconds=0)
        await c.pods_until(lambda pods: len(pods) == 3 and all(p.metadata.uid != gone.metadata.uid for p in pods))
        await c.client.patch(REPLICA_SETS, "r", {"spec": {"replicas": 1}}, "ns")
        await c.pods_until(lambda pods: len([p for p in pods if not p.metadata.deletion_timestamp]) == 1)
        await c.until(REPLICA_SETS, "r", lambda o: o and o["status"].get("replicas") == 1)


async def test_a_stateful_set_starts_and_stops_in_order() -> None:
    async with cluster("statefulset") as c:
        await make(
            c,
            STATEFUL_SETS,
            "w",
            3,
            serviceName="s",
            volumeClaimTemplates=[
                {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}
            ],
        )
        for count in (1, 2, 3):
            pods = await c.pods_until(lambda pods, count=count: len(pods) == count)
            assert [p.metadata.name for p in pods] == [f"w-{number}" for number in range(count)]
            await c.set_pod(f"w-{count - 1}")
        assert pods[2].spec.subdomain == "s"
        assert pods[2].metadata.labels is not None
        assert pods[2].metadata.labels["apps.kubernetes.io/pod-index"] == "2"
        assert {o["metadata"]["name"] for o in await c.listed(PERSISTENT_VOLUME_CLAIMS)} == {"data-w-0", "data-w-1", "data-w-2"}
        await c.until(STATEFUL_SETS, "w", lambda o: o and o["status"].get("readyReplicas") == 3)
        await c.client.patch(STATEFUL_SETS, "w", {"spec": {"replicas": 1}}, "ns")
        for name in ("w-2", "w-1"):
            await c.pods_until(
                lambda pods, name=name: (
                    next((p for p in pods if p.metadata.name == name and p.metadata.deletion_timestamp), None)
                    or name not in [p.metadata.name for p in pods]
                )
            )
            if any(p.metadata.name == name for p in c.pods()):
                await c.end_pod(name)
        await c.pods_until(lambda pods: [p.metadata.name for p in pods] == ["w-0"])


async def test_a_stateful_set_in_parallel() -> None:
    async with cluster("statefulset") as c:
        await make(c, STATEFUL_SETS, "w", 3, podManagementPolicy="Parallel")
        await c.pods_until(lambda pods: len(pods) == 3)

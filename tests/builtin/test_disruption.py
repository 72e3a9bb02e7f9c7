"""PodDisruptionBudgets: the arithmetic as a table, and evictions on the embedded API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from raysail.api.core import Pod
from raysail.api.errors import StatusError
from raysail.api.policy import PodDisruptionBudget
from raysail.api.resources import DEPLOYMENTS, POD_DISRUPTION_BUDGETS, PODS, Resource
from raysail.builtin.disruption.decide import seconds_to_forget, status_of
from tests.builtin.conftest import Cluster, cluster

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def pod(name: str, *, ready: bool = True) -> Pod:
    status = {"conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}
    return msgspec.convert({"metadata": {"name": name, "namespace": "ns"}, "status": status}, Pod)


def budget(disrupted: dict[str, str] | None = None, **spec: Any) -> PodDisruptionBudget:
    return msgspec.convert(
        {"metadata": {"name": "b", "generation": 3}, "spec": spec, "status": {"disruptedPods": disrupted}}, PodDisruptionBudget
    )


@pytest.mark.parametrize(
    ("spec", "ready", "scale", "expected", "desired", "allowed"),
    [
        ({"minAvailable": 2}, 3, 0, 4, 2, 1),
        ({"minAvailable": 4}, 3, 0, 4, 4, 0),
        ({"minAvailable": "50%"}, 3, 5, 5, 3, 0),
        ({"minAvailable": "50%"}, 4, 5, 5, 3, 1),
        ({"maxUnavailable": 1}, 4, 4, 4, 3, 1),
        ({"maxUnavailable": 1}, 4, 0, 0, 0, 0),
        ({"maxUnavailable": 9}, 1, 4, 4, 0, 1),
        ({"maxUnavailable": "30%"}, 4, 4, 4, 2, 2),
    ],
)
def test_what_a_budget_allows(spec: dict[str, Any], ready: int, scale: int, expected: int, desired: int, allowed: int) -> None:
    pods = [pod(f"p{i}", ready=i < ready) for i in range(4)]
    status = status_of(budget(**spec), pods, scale, NOW)
    assert (status["expectedPods"], status["desiredHealthy"], status["disruptionsAllowed"]) == (expected, desired, allowed)
    assert (status["currentHealthy"], status["observedGeneration"]) == (ready, 3)
    assert [(c["type"], c["status"]) for c in status["conditions"]] == [("DisruptionAllowed", "True" if allowed else "False")]


def test_a_granted_eviction_counts_until_the_pod_goes_or_two_minutes_are_over() -> None:
    granted = {"p0": (NOW - timedelta(seconds=50)).isoformat(), "p1": (NOW - timedelta(seconds=130)).isoformat(), "gone": NOW.isoformat()}
    status = status_of(budget(granted, minAvailable=1), [pod("p0"), pod("p1"), pod("p2")], 0, NOW)
    assert status["disruptedPods"] == {"p0": granted["p0"]}
    assert status["currentHealthy"] == 2
    assert seconds_to_forget(status, NOW) == 70


BUDGET = {"selector": {"matchLabels": {"app": "web"}}}


async def evict(c: Cluster, name: str) -> None:
    eviction = Resource("policy", "v1", "Eviction", "evictions")
    body = {"apiVersion": eviction.api_version, "kind": "Eviction", "metadata": {"name": name, "namespace": "ns"}}
    await c.client.create(PODS, body, "ns", name=name, subresource="eviction")


async def allows(c: Cluster, count: int) -> dict[str, Any]:
    def seen(obj: dict[str, Any] | None) -> bool:
        status = (obj or {}).get("status") or {}
        return status.get("observedGeneration") == 1 and status.get("disruptionsAllowed", 0) == count

    found = await c.until(POD_DISRUPTION_BUDGETS, "b", seen)
    assert found is not None
    status: dict[str, Any] = found["status"]
    return status


async def test_evicts_one_at_a_time() -> None:
    async with cluster("disruption", "deployment", "replicaset") as c:
        template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
        await c.create(POD_DISRUPTION_BUDGETS, "b", spec={**BUDGET, "maxUnavailable": 1})
        await c.create(DEPLOYMENTS, "web", spec={"replicas": 2, "selector": BUDGET["selector"], "template": template})
        first, second = await c.pods_until(lambda pods: len(pods) == 2)
        for found in (first, second):
            await c.set_pod(found.metadata.name)
        assert (await allows(c, 1))["expectedPods"] == 2
        await evict(c, first.metadata.name)
        await allows(c, 0)
        with pytest.raises(StatusError) as refused:
            await evict(c, second.metadata.name)
        assert (refused.value.code, refused.value.causes[0].reason) == (429, "DisruptionBudget")
        assert "needs 1 healthy pods and has 1 currently" in refused.value.causes[0].message
        replacement = next(
            p
            for p in await c.pods_until(lambda pods: {p.metadata.name for p in pods} - {first.metadata.name, second.metadata.name})
            if p.metadata.name not in (first.metadata.name, second.metadata.name)
        )
        await c.set_pod(replacement.metadata.name)
        await allows(c, 1)


async def test_an_owner_without_a_scale_forbids_every_eviction() -> None:
    async with cluster("disruption") as c:
        owner = {"apiVersion": "example.com/v1", "kind": "Crew", "name": "r", "uid": "u", "controller": True}
        await c.pod("p", metadata={"labels": {"app": "web"}, "ownerReferences": [owner]})
        await c.create(POD_DISRUPTION_BUDGETS, "b", spec={**BUDGET, "maxUnavailable": 1})
        found = await c.until(POD_DISRUPTION_BUDGETS, "b", lambda obj: (obj or {}).get("status", {}).get("conditions"))
        assert found is not None
        condition = found["status"]["conditions"][0]
        assert (condition["status"], condition["reason"]) == ("False", "SyncFailed")
        assert "Crew r has no scale" in condition["message"]


async def test_a_pod_that_is_not_ready_may_go_while_enough_others_are() -> None:
    async with cluster("disruption") as c:
        await c.create(POD_DISRUPTION_BUDGETS, "b", spec={**BUDGET, "minAvailable": 1})
        for name in ("healthy", "sick"):
            await c.pod(name, metadata={"labels": {"app": "web"}})
            await c.set_pod(name, ready=name == "healthy")
        found = await c.until(POD_DISRUPTION_BUDGETS, "b", lambda obj: (obj or {}).get("status", {}).get("currentHealthy") == 1)
        assert found is not None
        assert found["status"]["disruptionsAllowed"] == 0
        await evict(c, "sick")
        with pytest.raises(StatusError, match="disruption budget"):
            await evict(c, "healthy")

"""KubeRay's webhooks, where they are on."""

from __future__ import annotations

from typing import Any

import pytest

from raysail.api.ray.admission import ray_causes, review
from raysail.api.resources import JOBS, RAY_CLUSTERS, RAY_JOBS


def cluster(name: str = "a", *groups: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"workerGroupSpecs": [{"groupName": group} for group in groups]}}


@pytest.mark.parametrize(
    ("kind", "name", "wanted"),
    [
        ("RayCluster", "a" * 53, ""),
        ("RayCluster", "a" * 54, "RayCluster name should be no more than 53 characters"),
        ("RayJob", "a" * 48, "The RayJob metadata is invalid: RayJob name should be no more than 47 characters"),
        ("RayService", "1a", "The RayService metadata is invalid: RayService name should be a valid DNS1035 label: [a DNS-1035 label"),
    ],
)
def test_names_leave_room_for_what_is_made_of_them(kind: str, name: str, wanted: str) -> None:
    found = ray_causes(kind, {"metadata": {"name": name}})
    assert bool(found) == bool(wanted)
    assert all(wanted in cause.message for cause in found)


def test_groups_have_names_of_their_own() -> None:
    assert ray_causes("RayCluster", cluster("a", "x", "y")) == []
    refusal = review(RAY_CLUSTERS, cluster("a", "x", "x"), "CREATE")
    assert refusal is not None
    assert (refusal.code, refusal.reason) == (422, "Invalid")
    assert refusal.message.startswith('admission webhook "vraycluster.kb.io" denied the request: RayCluster.ray.io "a" is invalid: ')
    assert refusal.causes[0].field == "spec.workerGroupSpecs[1]"


def test_other_kinds_and_operations_are_let_through() -> None:
    assert review(JOBS, cluster("A"), "CREATE") is None
    assert review(RAY_JOBS, cluster("A"), "DELETE") is None

"""kueue.x-k8s.io between its versions, and the compressed form of topology assignments."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysail.api.kueue.conversion import to_v1beta1, to_v1beta2
from raysail.api.kueue.topologycoding import Domain, decode, encode

Json = dict[str, Any]


def old(kind: str, spec: Json | None = None, status: Json | None = None) -> Json:
    made: Json = {"apiVersion": "kueue.x-k8s.io/v1beta1", "kind": kind, "metadata": {"name": "a"}}
    return made | ({"spec": spec} if spec else {}) | ({"status": status} if status else {})


@pytest.mark.parametrize(
    ("before", "spec", "status"),
    [
        (old("ClusterQueue", {"cohort": "x"}), {"cohortName": "x"}, None),
        (
            old("ClusterQueue", {"flavorFungibility": {"whenCanBorrow": "Borrow", "whenCanPreempt": "Preempt"}}),
            {"flavorFungibility": {"whenCanBorrow": "MayStopSearch", "whenCanPreempt": "MayStopSearch"}},
            None,
        ),
        (
            old("ClusterQueue", {"admissionChecks": ["one", "two"]}),
            {"admissionChecksStrategy": {"admissionChecks": [{"name": "one"}, {"name": "two"}]}},
            None,
        ),
        (
            old("Workload", {"priorityClassName": "p", "priorityClassSource": "kueue.x-k8s.io/workloadpriorityclass", "priority": 1}),
            {"priorityClassRef": {"group": "kueue.x-k8s.io", "kind": "WorkloadPriorityClass", "name": "p"}, "priority": 1},
            None,
        ),
        (old("Workload", status={"accumulatedPastExexcutionTimeSeconds": 7}), None, {"accumulatedPastExecutionTimeSeconds": 7}),
        (old("LocalQueue", status={"flavorUsage": [{"name": "f"}], "flavors": []}), None, {"flavorsUsage": [{"name": "f"}]}),
        (old("AdmissionCheck", {"controllerName": "c", "retryDelayMinutes": 15}), {"controllerName": "c"}, None),
        (
            old("MultiKueueCluster", {"kubeConfig": {"location": "s", "locationType": "Secret"}}),
            {"clusterSource": {"kubeConfig": {"location": "s", "locationType": "Secret"}}},
            None,
        ),
    ],
)
def test_up(before: Json, spec: Json | None, status: Json | None) -> None:
    untouched = copy.deepcopy(before)
    after = to_v1beta2(before)
    assert after["apiVersion"] == "kueue.x-k8s.io/v1beta2"
    assert after.get("spec") == spec
    assert after.get("status") == status
    assert before == untouched


@pytest.mark.parametrize(
    "before",
    [
        old("ClusterQueue", {"cohort": "x", "resourceGroups": [], "admissionChecksStrategy": {"admissionChecks": [{"name": "c"}]}}),
        old("Workload", {"priorityClassName": "p", "priorityClassSource": "scheduling.k8s.io/priorityclass"}),
        old("LocalQueue", {"clusterQueue": "q"}, {"flavorUsage": [{"name": "f", "resources": []}]}),
        old("MultiKueueCluster", {"kubeConfig": {"location": "s", "locationType": "Path"}}),
        old("ResourceFlavor", {"nodeLabels": {"a": "b"}}),
        old(
            "Workload",
            {"queueName": "q"},
            {
                "admission": {
                    "clusterQueue": "q",
                    "podSetAssignments": [
                        {"name": "main", "topologyAssignment": {"levels": ["rack"], "domains": [{"values": ["r1"], "count": 2}]}},
                    ],
                }
            },
        ),
    ],
    ids=lambda o: o["kind"],
)
def test_up_and_down_again_changes_nothing(before: Json) -> None:
    assert to_v1beta1(to_v1beta2(before)) == before


def test_an_object_that_is_there_already_stays_as_it_is() -> None:
    assert to_v1beta1(old("ClusterQueue", {"cohort": "x"})) == old("ClusterQueue", {"cohort": "x"})


def test_what_the_older_version_cannot_say_is_lost() -> None:
    new = {
        "apiVersion": "kueue.x-k8s.io/v1beta2",
        "kind": "Workload",
        "spec": {
            "preemptionGates": [{"name": "g"}],
            "podSets": [{"name": "main", "topologyRequest": {"podsetSliceRequiredTopologyConstraints": [{}], "required": "rack"}}],
        },
    }
    assert to_v1beta1(new)["spec"] == {"podSets": [{"name": "main", "topologyRequest": {"required": "rack"}}]}


names = st.lists(st.text("abn-01", min_size=1, max_size=8), min_size=1, max_size=12, unique=True)


@given(names, st.lists(st.integers(1, 3), min_size=12, max_size=12), st.booleans())
def test_every_assignment_survives_compression(hosts: list[str], counts: list[int], by_prefix: bool) -> None:
    domains = [Domain((host[0], host), count) for host, count in zip(hosts, counts, strict=False)]
    assignment = encode(["rack", "kubernetes.io/hostname"], domains, by_hostname_prefix=by_prefix)
    assert list(decode(assignment)) == domains


def test_what_values_share_is_written_once() -> None:
    domains = [Domain(("r1", f"pool-a-{n}.local"), 1) for n in range(3)]
    (part,) = encode(["rack", "kubernetes.io/hostname"], domains)["slices"]
    assert part["valuesPerLevel"] == [
        {"universal": "r1"},
        {"individual": {"prefix": "pool-a-", "suffix": ".local", "roots": ["0", "1", "2"]}},
    ]
    assert part["podCounts"] == {"universal": 1}

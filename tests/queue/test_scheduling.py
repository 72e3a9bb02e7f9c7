"""Who is admitted, who waits and why: one rule a case, on the plan of one call."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from raysail.queue.planner.options import Options
from tests.queue.builders import PLAIN, admitted, cohort, cq, flavor, lq, preempted, run, scene, waiting, wl


@dataclass
class Case:
    rule: str
    given: list[Any]
    admitted: dict[str, str] = field(default_factory=dict)
    waiting: dict[str, str] = field(default_factory=dict)
    preempted: dict[str, str] = field(default_factory=dict)
    options: Options = PLAIN

    def __str__(self) -> str:
        return self.rule


QUOTA = [
    Case("what fits is admitted", [cq("a", 4), wl("w", "a", 4)], {"w": "default"}),
    Case(
        "what does not fit waits for quota", [cq("a", 4), wl("r", "a", 3, holds="default"), wl("w", "a", 2)], {}, {"w": "WaitingForQuota"}
    ),
    Case("what can never fit says so", [cq("a", 4), wl("w", "a", 5)], {}, {"w": "ExceedsMaxQuota"}),
    Case(
        "a resource that the queue does not cover is refused",
        [cq("a", 4), wl("w", "a", 1, pod={"overhead": {"x/gpu": "1"}})],
        {},
        {"w": "NoMatchingFlavor"},
    ),
    Case("borrows what the cohort does not use", [cq("a", 4, cohort="x"), cq("b", 4, cohort="x"), wl("w", "a", 6)], {"w": "default"}),
    Case(
        "never borrows past its limit",
        [cq("a", 4, borrow=1, cohort="x"), cq("b", 4, cohort="x"), wl("w", "a", 6)],
        {},
        {"w": "ExceedsMaxQuota"},
    ),
    Case(
        "never borrows what the other does not lend",
        [cq("a", 4, cohort="x"), cq("b", 4, lend=1, cohort="x"), wl("w", "a", 6)],
        {},
        {"w": "ExceedsMaxQuota"},
    ),
    Case("the cohort's own quota is for all", [cohort("x", 3), cq("a", 1, cohort="x"), wl("w", "a", 4)], {"w": "default"}),
    Case(
        "a parent's quota comes down to grandchildren",
        [cohort("top", 5), cohort("x", parent="top"), cq("a", 0, cohort="x"), wl("w", "a", 5)],
        {"w": "default"},
    ),
    Case(
        "a cohort's borrowing limit holds for all below",
        [cohort("top", 5), cohort("x", 0, parent="top", borrow=2), cq("a", 0, cohort="x"), wl("w", "a", 3)],
        {},
        {"w": "ExceedsMaxQuota"},
    ),
    Case(
        "queues of a cycle of cohorts admit nothing",
        [cohort("x", parent="y"), cohort("y", parent="x"), cq("a", 4, cohort="x"), wl("w", "a", 1)],
        {},
        {"w": "Suspended"},
    ),
    Case(
        "the lender comes first when both want the last of it",
        [cq("a", 0, cohort="x"), cq("b", 4, cohort="x"), wl("borrower", "a", 4), wl("owner", "b", 4, created=9)],
        {"owner": "default"},
        {"borrower": "WaitingForQuota"},
    ),
    Case(
        "the pods resource counts Pods",
        [
            cq(
                "a",
                4,
                resourceGroups=[
                    {"coveredResources": ["pods"], "flavors": [{"name": "default", "resources": [{"name": "pods", "nominalQuota": "2"}]}]}
                ],
            ),
            wl("w", "a", 0, count=3),
        ],
        {},
        {"w": "ExceedsMaxQuota"},
    ),
]

ORDER = [
    Case(
        "oldest first", [cq("a", 1), wl("new", "a", created=2), wl("old", "a", created=1)], {"old": "default"}, {"new": "WaitingForQuota"}
    ),
    Case(
        "priority before age",
        [cq("a", 1), wl("old", "a", created=1), wl("urgent", "a", created=2, priority=5)],
        {"urgent": "default"},
        {"old": "WaitingForQuota"},
    ),
    Case("of the same second the lower UID", [cq("a", 1), wl("y", "a"), wl("x", "a")], {"x": "default"}, {"y": "WaitingForQuota"}),
    Case(
        "all that fit are admitted in one plan",
        [cq("a", 3), wl("x", "a"), wl("y", "a"), wl("z", "a")],
        {"x": "default", "y": "default", "z": "default"},
    ),
    Case(
        "BestEffortFIFO lets a later one pass",
        [cq("a", 2), wl("big", "a", 3, created=1), wl("small", "a", created=2)],
        {"small": "default"},
        {"big": "ExceedsMaxQuota"},
    ),
    Case(
        "StrictFIFO lets nobody pass",
        [cq("a", 2, strategy="StrictFIFO"), wl("r", "a", 1, holds="default"), wl("big", "a", 2, created=1), wl("small", "a", created=2)],
        {},
        {"big": "WaitingForQuota"},
    ),
    Case(
        "with one round only the heads are looked at",
        [cq("a", 3), wl("x", "a"), wl("y", "a")],
        {"x": "default"},
        options=Options(one_round=True),
    ),
]

FLAVORS = [
    Case("flavors are tried in order", [cq("a", flavors={"one": 1, "two": 5}), wl("w", "a", 2)], {"w": "two"}),
    Case(
        "a taint that is not tolerated rules a flavor out",
        [
            cq("a", flavors={"spot": 5, "two": 5}),
            flavor("spot", nodeTaints=[{"key": "spot", "value": "y", "effect": "NoSchedule"}]),
            flavor("two"),
            wl("w", "a", 2),
        ],
        {"w": "two"},
    ),
    Case(
        "a toleration of the Pod lets it in",
        [
            cq("a", flavors={"spot": 5, "two": 5}),
            flavor("spot", nodeTaints=[{"key": "spot", "value": "y", "effect": "NoSchedule"}]),
            flavor("two"),
            wl("w", "a", 2, pod={"tolerations": [{"key": "spot", "operator": "Exists"}]}),
        ],
        {"w": "spot"},
    ),
    Case(
        "so does a toleration of the flavor",
        [
            cq("a", flavors={"spot": 5}),
            flavor("spot", nodeTaints=[{"key": "spot", "effect": "NoSchedule"}], tolerations=[{"key": "spot", "operator": "Exists"}]),
            wl("w", "a", 2),
        ],
        {"w": "spot"},
    ),
    Case(
        "a node selector chooses the flavor",
        [
            cq("a", flavors={"x": 5, "y": 5}),
            flavor("x", nodeLabels={"zone": "x"}),
            flavor("y", nodeLabels={"zone": "y"}),
            wl("w", "a", pod={"nodeSelector": {"zone": "y"}}),
        ],
        {"w": "y"},
    ),
    Case(
        "keys that a flavor does not have are ignored",
        [cq("a", flavors={"x": 5}), flavor("x", nodeLabels={"zone": "x"}), wl("w", "a", pod={"nodeSelector": {"disk": "ssd"}})],
        {"w": "x"},
    ),
    Case(
        "borrowing in the first comes before the second",
        [cq("a", flavors={"one": 1, "two": 5}, cohort="c"), cq("b", flavors={"one": 5, "two": 0}, cohort="c"), wl("w", "a", 2)],
        {"w": "one"},
    ),
    Case(
        "unless the queue says to try the next",
        [
            cq(
                "a",
                flavors={"one": 1, "two": 5},
                cohort="c",
                flavorFungibility={"whenCanBorrow": "TryNextFlavor", "whenCanPreempt": "TryNextFlavor"},
            ),
            cq("b", flavors={"one": 5, "two": 0}, cohort="c"),
            wl("w", "a", 2),
        ],
        {"w": "two"},
    ),
]

PARTIAL = [
    Case("as many Pods as fit, at least the minimum", [cq("a", 5), wl("w", "a", 1, count=8, min_count=2)], {"w": "default"}),
    Case("not below the minimum", [cq("a", 1), wl("w", "a", 1, count=8, min_count=2)], {}, {"w": "ExceedsMaxQuota"}),
]

PREEMPTION = [
    Case(
        "a higher priority takes the place of a lower",
        [cq("a", 4, within="LowerPriority"), wl("low", "a", 4, holds="default"), wl("high", "a", 4, priority=5)],
        {},
        {"high": "WaitingForPreemptedWorkloads"},
        {"low": "InClusterQueue"},
    ),
    Case(
        "Never means never",
        [cq("a", 4), wl("low", "a", 4, holds="default"), wl("high", "a", 4, priority=5)],
        {},
        {"high": "WaitingForQuota"},
    ),
    Case(
        "equal priority stays",
        [cq("a", 4, within="LowerPriority"), wl("x", "a", 4, holds="default"), wl("y", "a", 4)],
        {},
        {"y": "WaitingForQuota"},
    ),
    Case(
        "a newer equal goes where the policy says so",
        [cq("a", 4, within="LowerOrNewerEqualPriority"), wl("new", "a", 4, holds="default", created=9), wl("old", "a", 4, created=1)],
        {},
        {"old": "WaitingForPreemptedWorkloads"},
        {"new": "InClusterQueue"},
    ),
    Case(
        "no more victims than needed",
        [
            cq("a", 4, within="LowerPriority"),
            wl("x", "a", 2, holds="default", since=1),
            wl("y", "a", 2, holds="default", since=2),
            wl("high", "a", 2, priority=5),
        ],
        {},
        {"high": "WaitingForPreemptedWorkloads"},
        {"y": "InClusterQueue"},
    ),
    Case(
        "the lowest priority goes first",
        [
            cq("a", 4, within="LowerPriority"),
            wl("x", "a", 2, holds="default", priority=2, since=9),
            wl("y", "a", 2, holds="default", priority=1, since=1),
            wl("high", "a", 2, priority=5),
        ],
        {},
        {"high": "WaitingForPreemptedWorkloads"},
        {"y": "InClusterQueue"},
    ),
    Case(
        "nominal quota is taken back from a borrower",
        [cq("a", 4, reclaim="Any", cohort="x"), cq("b", 0, cohort="x"), wl("b1", "b", 4, holds="default", priority=9), wl("mine", "a", 4)],
        {},
        {"mine": "WaitingForPreemptedWorkloads"},
        {"b1": "InCohortReclamation"},
    ),
    Case(
        "but not from one within its own quota",
        [cq("a", 4, reclaim="Any", cohort="x"), cq("b", 4, cohort="x"), wl("b1", "b", 4, holds="default"), wl("big", "a", 8)],
        {},
        {"big": "WaitingForQuota"},
    ),
    Case(
        "LowerPriority reclaims from lower ones only",
        [
            cq("a", 4, reclaim="LowerPriority", cohort="x"),
            cq("b", 0, cohort="x"),
            wl("b1", "b", 4, holds="default", priority=9),
            wl("mine", "a", 4),
        ],
        {},
        {"mine": "WaitingForQuota"},
    ),
    Case(
        "borrowWithinCohort preempts while borrowing",
        [
            cq("a", 2, reclaim="LowerPriority", borrow_within={"policy": "LowerPriority"}, cohort="x"),
            cq("b", 2, cohort="x"),
            cq("c", 2, cohort="x"),
            wl("b1", "b", 4, holds="default"),
            wl("mine", "a", 4, priority=5),
        ],
        {},
        {"mine": "WaitingForPreemptedWorkloads"},
        {"b1": "InCohortReclaimWhileBorrowing"},
    ),
    Case(
        "not those above the threshold",
        [
            cq("a", 2, reclaim="LowerPriority", borrow_within={"policy": "LowerPriority", "maxPriorityThreshold": 0}, cohort="x"),
            cq("b", 2, cohort="x"),
            cq("c", 2, cohort="x"),
            wl("b1", "b", 4, holds="default", priority=1),
            wl("mine", "a", 4, priority=5),
        ],
        {},
        {"mine": "WaitingForQuota"},
    ),
    Case(
        "who is on the way out already is not preempted twice",
        [
            cq("a", 4, within="LowerPriority"),
            wl("low", "a", 4, holds="default", conditions=[{"type": "Evicted", "status": "True", "reason": "Preempted"}]),
            wl("high", "a", 4, priority=5),
        ],
        {},
        {"high": "WaitingForPreemptedWorkloads"},
    ),
    Case(
        "fair sharing takes from the one with the larger share",
        [
            cq("a", 2, reclaim="Any", cohort="x"),
            cq("b", 2, cohort="x"),
            cq("c", 2, cohort="x"),
            wl("b1", "b", 2, holds="default"),
            wl("b2", "b", 2, holds="default", since=1),
            wl("b3", "b", 2, holds="default", since=2),
            wl("a1", "a", 2),
        ],
        {},
        {"a1": "WaitingForPreemptedWorkloads"},
        {"b3": "InCohortReclamation"},
        options=Options(fair_strategies=()),
    ),
]


@pytest.mark.parametrize("case", [*QUOTA, *ORDER, *FLAVORS, *PARTIAL, *PREEMPTION], ids=str)
def test_plan(case: Case) -> None:
    snapshot = scene(*case.given, options=case.options)
    before = {name: dict(queue.usage) for name, queue in snapshot.world.cluster_queues.items()}
    result = run(snapshot)
    assert admitted(result) == case.admitted
    assert waiting(result) == case.waiting
    assert preempted(result) == case.preempted
    if not case.admitted:
        assert {name: dict(queue.usage) for name, queue in snapshot.world.cluster_queues.items()} == before, "attempts leave no trace"


def test_partial_admission_takes_the_largest_count() -> None:
    result = run(scene(cq("a", 5), wl("w", "a", 1, count=8, min_count=2)))
    assert [d.assignment.pod_sets[0].count for d in result.decisions] == [5]  # type: ignore[union-attr]


def test_equal_workloads_are_parked_together_and_only_one_is_looked_at() -> None:
    snapshot = scene(cq("a", 2), wl("r", "a", 1, holds="default"), *[wl(f"w{n}", "a", 2, created=n) for n in range(50)])
    result = run(snapshot)
    assert waiting(result) == {"w0": "WaitingForQuota"}
    assert len(snapshot.pending.queues["a"].inadmissible) == 50


def test_a_stopped_local_queue_waits_for_itself() -> None:
    result = run(scene(cq("a", 4), lq("stopped", "a", stopPolicy="Hold"), wl("w", "stopped")))
    assert result.decisions == []


def test_the_same_world_gives_the_same_plan() -> None:
    def once() -> tuple[object, ...]:
        given = [
            cq("a", 4, within="LowerPriority", cohort="x"),
            cq("b", 4, cohort="x"),
            *[wl(f"w{n}", "ab"[n % 2], 1 + n % 3) for n in range(20)],
        ]
        result = run(scene(*given))
        return admitted(result), preempted(result), waiting(result)

    assert once() == once()

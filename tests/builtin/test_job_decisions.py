"""What is done for a Job, as tables: the Job, its Pods → the next step."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from raysail.api.batch import JOB_COMPLETION_INDEX, Job
from raysail.api.core import Pod
from raysail.builtin.jobs.decide import Step, decide
from raysail.builtin.jobs.indexes import first_pending, format_indexes, parse_indexes
from raysail.builtin.jobs.pods import FAILURE_COUNT
from raysail.builtin.jobs.status import status_patch
from tests.builtin.builders import job, pod

NOW = datetime(2026, 1, 1, 0, 10, tzinfo=UTC)


@dataclass(frozen=True)
class Case:
    rule: str
    job: Job
    pods: list[Pod] = field(default_factory=list)
    create: int = 0
    indexes: list[int] | None = None
    delete: list[str] = field(default_factory=list)
    discard: list[str] = field(default_factory=list)
    release: list[str] = field(default_factory=list)
    status: dict[str, Any] = field(default_factory=dict)
    conditions: dict[str, tuple[str, str]] = field(default_factory=dict)
    events: list[str] = field(default_factory=list)
    wake: float | None = None

    def __str__(self) -> str:
        return self.rule


def indexed(completions: int = 3, **fields: Any) -> Job:
    return job(completionMode="Indexed", completions=completions, **{"parallelism": completions, **fields})


def met(type_: str = "SuccessCriteriaMet", reason: str = "CompletionsReached", message: str = "m") -> dict[str, Any]:
    return {"type": type_, "status": "True", "reason": reason, "message": message, "lastTransitionTime": "2026-01-01T00:09:00Z"}


FAIL_ON_42 = {"rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}]}
IGNORE_DISRUPTION = {"rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]}

CASES = [
    # How many Pods run.
    Case("starts as many as run in parallel", job(parallelism=3, completions=5), create=3),
    Case("starts no more than are still needed", job(parallelism=3, completions=5, status={"succeeded": 4}), create=1),
    Case("keeps what runs", job(parallelism=2, completions=2), [pod("a", ready=True), pod("b")], status={"active": 2, "ready": 1}),
    Case("without completions runs parallelism", job(parallelism=2, completions=None), create=2),
    Case("without completions starts nothing after a success", job(parallelism=2, completions=None), [pod("a"), pod("b", "Succeeded")], release=["b"]),
    Case("stops what is too much, the youngest first", job(parallelism=1, completions=5), [pod("old"), pod("young", created="2026-01-01T00:05:00Z")], discard=["young"]),
    Case("stops a Pod without Node before one that runs", job(parallelism=1, completions=5), [pod("placed", node="n"), pod("waiting", "Pending")], discard=["waiting"]),
    Case("a Pod that is being stopped is replaced at once", job(), [pod("a", deleting=True, tracked=False)], create=1),
    Case("or only when it has ended, if so wanted", job(podReplacementPolicy="Failed"), [pod("a", deleting=True)], status={"terminating": 1}),
    Case("zero parallelism runs nothing", job(parallelism=0), [pod("a")], discard=["a"]),
    # Counting.
    Case(
        "a success is first noted, then released",
        job(completions=2, parallelism=1),
        [pod("a", "Succeeded"), pod("b")],
        release=["a"],
        status={"uncountedTerminatedPods": {"succeeded": ["uid-a"]}, "succeeded": 0, "active": 1},
    ),
    Case(
        "a noted success counts when its Pod is released",
        job(completions=2, status={"uncountedTerminatedPods": {"succeeded": ["uid-a"]}}),
        [pod("a", "Succeeded", tracked=False), pod("b")],
        status={"uncountedTerminatedPods": {}, "succeeded": 1},
    ),
    Case(
        "and is not counted before",
        job(completions=2, status={"uncountedTerminatedPods": {"succeeded": ["uid-a"]}}),
        [pod("a", "Succeeded"), pod("b")],
        release=["a"],
        status={"uncountedTerminatedPods": {"succeeded": ["uid-a"]}, "succeeded": 0},
    ),
    Case("a failure is noted", job(), [pod("a", "Failed", ended="2026-01-01T00:00:00Z"), pod("b")], release=["a"], status={"uncountedTerminatedPods": {"failed": ["uid-a"]}}),
    Case("a deleted Pod counts as failed", job(), [pod("a", deleting=True), pod("b")], release=["a"], status={"uncountedTerminatedPods": {"failed": ["uid-a"]}}),
    Case("an ended Pod that was counted is left alone", job(status={"failed": 1}), [pod("a", "Failed", tracked=False, ended="2026-01-01T00:00:00Z"), pod("b")], status={"failed": 1}),
    # Back-off.
    Case("waits 10 s after a failure", job(), [pod("a", "Failed", ended="2026-01-01T00:09:55Z")], release=["a"], wake=5.0),
    Case(
        "waits twice as long after the second in a row",
        job(),
        [pod("a", "Failed", tracked=False, ended="2026-01-01T00:09:30Z"), pod("b", "Failed", ended="2026-01-01T00:09:55Z")],
        release=["b"],
        wake=15.0,
    ),
    Case(
        "a success ends the waiting",
        job(completions=3, parallelism=1),
        [pod("a", "Failed", tracked=False, ended="2026-01-01T00:09:55Z"), pod("b", "Succeeded", tracked=False, ended="2026-01-01T00:09:58Z")],
        create=1,
    ),
    Case("a discarded Pod is no failure to wait for", job(), [pod("a", deleting=True, tracked=False)], create=1),
    # How it ends.
    Case(
        "enough successes are the criteria",
        job(),
        [pod("a", "Succeeded")],
        release=["a"],
        status={"uncountedTerminatedPods": {"succeeded": ["uid-a"]}},
        conditions={"SuccessCriteriaMet": ("CompletionsReached", "Reached expected number of succeeded pods")},
    ),
    Case(
        "complete when all are counted",
        job(status={"uncountedTerminatedPods": {"succeeded": ["uid-a"]}, "conditions": [met()]}),
        [pod("a", "Succeeded", tracked=False)],
        status={"succeeded": 1, "completionTime": "2026-01-01T00:10:00Z", "uncountedTerminatedPods": {}},
        conditions={"SuccessCriteriaMet": ("CompletionsReached", "m"), "Complete": ("CompletionsReached", "m")},
        events=["Completed"],
    ),
    Case(
        "not complete while a Pod is still stopping",
        job(completions=None, status={"succeeded": 1, "conditions": [met()]}),
        [pod("a", deleting=True, tracked=False)],
        conditions={"SuccessCriteriaMet": ("CompletionsReached", "m")},
        status={"terminating": 1},
    ),
    Case("too many failures end it: what runs is deleted", job(backoffLimit=0, parallelism=2, completions=2), [pod("a", "Failed"), pod("b")], delete=["b"]),
    Case(
        "then the target is failure",
        job(backoffLimit=0),
        [pod("a", "Failed")],
        release=["a"],
        conditions={"FailureTarget": ("BackoffLimitExceeded", "Job has reached the specified backoff limit")},
        status={"uncountedTerminatedPods": {"failed": ["uid-a"]}},
    ),
    Case(
        "then it has failed",
        job(backoffLimit=0, status={"failed": 1, "conditions": [met("FailureTarget", "BackoffLimitExceeded")]}),
        [pod("a", "Failed", tracked=False)],
        conditions={"FailureTarget": ("BackoffLimitExceeded", "m"), "Failed": ("BackoffLimitExceeded", "m")},
        events=["BackoffLimitExceeded"],
    ),
    Case("the deadline ends it", job(activeDeadlineSeconds=600), [pod("a")], delete=["a"]),
    Case("the deadline is waited for", job(activeDeadlineSeconds=630), [pod("a")], wake=30.0, status={"active": 1}),
    Case("restarts in place count too", job(backoffLimit=2, template={"spec": {"restartPolicy": "OnFailure"}}), [pod("a", restarts=2)], delete=["a"]),
    Case("restarts below the limit do not", job(backoffLimit=3, template={"spec": {"restartPolicy": "OnFailure"}}), [pod("a", restarts=2)]),
    # Suspension.
    Case("suspended: what runs is stopped and not counted", job(suspend=True), [pod("a")], discard=["a"]),
    Case("suspended: says so and forgets when it started", job(suspend=True), conditions={"Suspended": ("JobSuspended", "Job suspended")}, status={"startTime": None}, events=["Suspended"]),
    Case("created suspended has no start", job(suspend=True, status={"startTime": None}), conditions={"Suspended": ("JobSuspended", "Job suspended")}, status={"startTime": None}, events=["Suspended"]),
    Case("resumed: starts", job(status={"startTime": None, "conditions": [met("Suspended", "JobSuspended")]}), create=1),
    Case(
        "resumed: says so",
        job(status={"conditions": [met("Suspended", "JobSuspended")]}),
        [pod("a")],
        conditions={"Suspended": ("JobResumed", "Job resumed")},
        status={"startTime": "2026-01-01T00:10:00Z"},
        events=["Resumed"],
    ),
    # Indexes.
    Case("indexed: one Pod an index", indexed(3), indexes=[0, 1, 2], create=3),
    Case("indexed: lowest first", indexed(5, parallelism=2, status={"completedIndexes": "0,2"}), [pod("a", index=1)], indexes=[3], create=1),
    Case("indexed: a success is noted by its index", indexed(2), [pod("a", "Succeeded", index=1), pod("b", index=0)], release=["a"], status={"completedIndexes": "1", "succeeded": 1, "uncountedTerminatedPods": {}}),
    Case("indexed: the same index twice counts once", indexed(2, status={"completedIndexes": "1", "succeeded": 1}), [pod("a", "Succeeded", index=1), pod("b", index=0)], release=["a"], status={"completedIndexes": "1", "succeeded": 1}),
    Case("indexed: the younger of two with one index goes", indexed(1), [pod("a", index=0), pod("b", index=0, created="2026-01-01T00:05:00Z")], discard=["b"]),
    Case("indexed: an index beyond the end goes", indexed(1), [pod("a", index=0), pod("b", index=5)], discard=["b"]),
    Case(
        "index limit: an index that failed often enough is lost, others go on",
        indexed(2, backoffLimitPerIndex=1, backoffLimit=2147483647),
        [pod("a", "Failed", index=0, annotations={FAILURE_COUNT: "1"}), pod("b", index=1)],
        release=["a"],
        status={"failedIndexes": "0", "uncountedTerminatedPods": {"failed": ["uid-a"]}},
    ),
    Case(
        "index limit: a failed Pod stays until its successor has its count",
        indexed(2, backoffLimitPerIndex=1, backoffLimit=2147483647),
        [pod("a", "Failed", index=0, ended="2026-01-01T00:09:55Z", annotations={FAILURE_COUNT: "0"}), pod("b", index=1)],
        status={"failedIndexes": "", "uncountedTerminatedPods": {}},
        wake=5.0,
    ),
    Case(
        "index limit: the Job fails when all indexes are settled and one is lost",
        indexed(2, backoffLimitPerIndex=0, backoffLimit=2147483647, status={"completedIndexes": "1"}),
        [pod("a", "Failed", index=0, annotations={FAILURE_COUNT: "0"})],
        release=["a"],
        status={"failedIndexes": "0"},
        conditions={"FailureTarget": ("FailedIndexes", "Job has failed indexes")},
    ),
    Case(
        "index limit: too many lost indexes end it at once",
        indexed(3, backoffLimitPerIndex=0, maxFailedIndexes=0, backoffLimit=2147483647),
        [pod("a", "Failed", index=0, annotations={FAILURE_COUNT: "0"}), pod("b", index=1)],
        delete=["b"],
    ),
    # Policies.
    Case("failure policy: an exit code ends the Job", job(podFailurePolicy=FAIL_ON_42, parallelism=2, completions=2), [pod("a", "Failed", exit_code=42), pod("b")], delete=["b"]),
    Case(
        "failure policy: with its message",
        job(podFailurePolicy=FAIL_ON_42),
        [pod("a", "Failed", exit_code=42)],
        release=["a"],
        conditions={"FailureTarget": ("PodFailurePolicy", "Container c for pod ns/a failed with exit code 42 matching FailJob rule at index 0")},
    ),
    Case(
        "failure policy: another exit code counts as ever",
        job(podFailurePolicy=FAIL_ON_42),
        [pod("a", "Failed", exit_code=1, ended="2026-01-01T00:00:00Z"), pod("b")],
        release=["a"],
        status={"uncountedTerminatedPods": {"failed": ["uid-a"]}},
    ),
    Case(
        "failure policy: an ignored failure is released without counting",
        job(podFailurePolicy=IGNORE_DISRUPTION, backoffLimit=0),
        [pod("a", "Failed", ended="2026-01-01T00:00:00Z", conditions=[{"type": "DisruptionTarget", "status": "True"}]), pod("b")],
        release=["a"],
        status={"uncountedTerminatedPods": {}, "failed": 0},
    ),
    Case(
        "success policy: some indexes are enough, the rest is stopped",
        indexed(3, successPolicy={"rules": [{"succeededIndexes": "0"}]}),
        [pod("a", "Succeeded", index=0), pod("b", index=1)],
        delete=["b"],
    ),
    Case(
        "success policy: says which rule",
        indexed(3, successPolicy={"rules": [{"succeededIndexes": "2"}, {"succeededCount": 1}]}),
        [pod("a", "Succeeded", index=0)],
        release=["a"],
        conditions={"SuccessCriteriaMet": ("SuccessPolicy", "Matched rules at index 1")},
        status={"completedIndexes": "0"},
    ),
    # Deletion.
    Case("a Job that is being deleted starts nothing and lets all Pods go", job(deleting=True), [pod("a", "Failed"), pod("b")], release=["a", "b"]),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_decisions(case: Case) -> None:
    step = decide(case.job, case.pods, NOW)
    assert len(step.create) == case.create
    if case.indexes is not None:
        assert [int(body["metadata"]["annotations"][JOB_COMPLETION_INDEX]) for body in step.create] == case.indexes
    assert names(step.delete) == case.delete
    assert names(step.discard) == case.discard
    if step.changes_pods:
        return
    assert names(step.release) == case.release
    assert {key: step.status[key] for key in case.status} == case.status
    assert {c["type"]: (c["reason"], c["message"]) for c in step.status.get("conditions", [])} == case.conditions
    assert [told.reason for told in step.events] == case.events
    assert step.wake_seconds == case.wake


def names(pods: list[Pod]) -> list[str]:
    return [p.metadata.name for p in pods]


def play(step: Step, present: Job) -> dict[str, Any] | None:
    return status_patch(present, step.status)


def test_names_do_not_depend_on_who_asks() -> None:
    first, second = (decide(job(parallelism=2, completions=2), [], NOW) for _ in range(2))
    assert [b["metadata"]["name"] for b in first.create] == [b["metadata"]["name"] for b in second.create]
    assert len({b["metadata"]["name"] for b in first.create}) == 2


def test_a_failed_pods_name_is_not_taken_again() -> None:
    one = decide(job(), [], NOW).create[0]["metadata"]["name"]
    again = decide(job(), [pod(one, "Failed", tracked=False, ended="2026-01-01T00:00:00Z")], NOW).create[0]["metadata"]["name"]
    assert again != one


def test_an_indexed_pod_knows_its_index() -> None:
    body = decide(indexed(2, status={"completedIndexes": "0"}), [], NOW).create[0]
    assert body["metadata"]["labels"][JOB_COMPLETION_INDEX] == "1"
    assert body["metadata"]["generateName"] == "j-1-"
    assert body["spec"]["hostname"] == "j-1"
    variable = body["spec"]["containers"][0]["env"][0]
    assert variable == {
        "name": "JOB_COMPLETION_INDEX",
        "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['batch.kubernetes.io/job-completion-index']"}},
    }


def test_a_successor_carries_the_failure_count() -> None:
    failed = pod("a", "Failed", index=0, ended="2026-01-01T00:00:00Z", annotations={FAILURE_COUNT: "1"})
    body = decide(indexed(1, backoffLimitPerIndex=5), [failed], NOW).create[0]
    assert body["metadata"]["annotations"][FAILURE_COUNT] == "2"


def test_the_first_status_of_a_job() -> None:
    fresh = job(status={"startTime": None, "uncountedTerminatedPods": None})
    step = decide(fresh, [pod("a")], NOW)
    assert status_patch(fresh, step.status) == {
        "startTime": "2026-01-01T00:10:00Z",
        "active": 1,
        "ready": 0,
        "terminating": 0,
        "uncountedTerminatedPods": {},
    }


def test_nothing_is_written_when_nothing_changed() -> None:
    settled = job(status={"active": 1, "ready": 0, "terminating": 0})
    assert status_patch(settled, decide(settled, [pod("a")], NOW).status) is None


def test_counters_that_fall_to_zero_and_lists_that_empty_are_removed() -> None:
    before = job(status={"active": 1, "ready": 1, "terminating": 0, "uncountedTerminatedPods": {"succeeded": ["x"]}}, completions=3)
    patch = status_patch(before, {"active": 0, "ready": 0, "terminating": 0, "succeeded": 1, "uncountedTerminatedPods": {}})
    assert patch == {"active": None, "ready": 0, "succeeded": 1, "uncountedTerminatedPods": {"succeeded": None}}


@pytest.mark.parametrize(
    ("text", "indexes"), [("", set()), ("0", {0}), ("0,2-4", {0, 2, 3, 4}), ("1,2", {1, 2}), ("1,x,3-9", {1, 3, 4}), ("7-9", set())]
)
def test_reading_indexes(text: str, indexes: set[int]) -> None:
    assert parse_indexes(text, 5) == indexes


@pytest.mark.parametrize(("indexes", "text"), [(set(), ""), ({3}, "3"), ({1, 2}, "1,2"), ({1, 2, 3}, "1-3"), ({0, 2, 3, 4, 9}, "0,2-4,9")])
def test_writing_indexes(indexes: set[int], text: str) -> None:
    assert format_indexes(indexes) == text


def test_pending_indexes() -> None:
    assert first_pending(5, 2, {0, 2}) == [1, 3]
    assert first_pending(3, 9, {0}) == [1, 2]

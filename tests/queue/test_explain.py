"""`why` says what is missing, who holds it and what would help; and what it names as help does help."""

from __future__ import annotations

import msgspec

from raysail.api.kueue import Workload
from raysail.queue.answers.answer import Why
from raysail.queue.answers.explain import queue_listing, why
from raysail.queue.answers.snapshot import Snapshot
from tests.queue.builders import NOW, admitted, cq, lq, preempted, run, scene, wl


def ask(snapshot: Snapshot, name: str) -> Why:
    found = why(snapshot, f"ns/{name}", NOW.timestamp())
    assert found is not None
    return found


def test_no_room_names_what_is_missing_and_who_holds_it() -> None:
    answer = ask(scene(cq("a", 4), wl("r", "a", 3, holds="default", owner="train", since=60), wl("w", "a", 2)), "w")
    assert answer.state == "pending"
    assert [(each.resource, each.flavor, each.needed, each.free) for each in answer.missing] == [("cpu", "default", "2", "1")]
    assert [(str(each.job), each.borrowed, each.amounts) for each in answer.holders] == [("Job ns/train", False, {"cpu in default": "3"})]
    assert [help_.text for help_ in answer.helps] == ["it starts when Job ns/train ends"]


def test_an_elastic_job_is_not_in_its_own_way() -> None:
    running, grown = wl("one", "a", 2, holds="default", owner="mine"), wl("two", "a", 4, owner="mine")
    replaces = {"kueue.x-k8s.io/workload-slice-replacement-for": "ns/one"}
    grown = msgspec.structs.replace(grown, metadata=msgspec.structs.replace(grown.metadata, annotations=replaces))
    answer = ask(scene(cq("a", 5), running, wl("other", "a", 3, holds="default", owner="theirs"), grown), "two")
    assert [(each.needed, each.free) for each in answer.missing] == [("4", "2")]
    assert [str(each.job) for each in answer.holders] == ["Job ns/theirs"]


def test_a_borrower_in_the_cohort_is_named_as_one() -> None:
    given = [cq("a", 4, cohort="x"), cq("b", 1, cohort="x"), wl("r", "b", 4, holds="default"), wl("w", "a", 2)]
    answer = ask(scene(*given), "w")
    assert [(each.cluster_queue, each.borrowed) for each in answer.holders] == [("b", True)]


def test_never_fits() -> None:
    answer = ask(scene(cq("a", 4), wl("w", "a", 8)), "w")
    assert answer.never
    assert "can never start" in answer.summary
    assert answer.helps[-1].kind == "quota"


def test_behind_others() -> None:
    snapshot = scene(cq("a", 4), wl("first", "a", 1, created=1), wl("w", "a", 1, created=2))
    answer = ask(snapshot, "w")
    assert (answer.position, answer.waiting) == (2, 2)
    assert [each.workload for each in answer.ahead] == ["ns/first"]


def test_a_stopped_queue_says_how_to_open_it() -> None:
    answer = ask(scene(cq("a", 4, stopPolicy="Hold"), wl("w", "a")), "w")
    assert answer.state == "blocked"
    assert "is stopped" in answer.summary
    assert answer.helps[0].text == "set its spec.stopPolicy to None"


def test_a_missing_local_queue() -> None:
    answer = ask(scene(cq("a", 4), lq("other", "a"), wl("w", "nowhere")), "w")
    assert answer.summary == "its LocalQueue ns/nowhere does not exist"


def test_waiting_for_victims() -> None:
    given = [cq("a", 4, within="LowerPriority"), wl("low", "a", 4, holds="default"), wl("high", "a", 4, priority=5)]
    answer = ask(scene(*given), "high")
    assert answer.state == "preempting"
    assert "ns/low" in answer.summary


def test_checks() -> None:
    checks = [{"name": "budget", "state": "Pending", "message": "asked"}]
    answer = ask(scene(cq("a", 4), wl("w", "a", holds="default", admitted=False, admissionChecks=checks)), "w")
    assert answer.state == "checking"
    assert "budget (Pending: asked)" in answer.summary


def _changed(workload: Workload, **changes: object) -> Workload:
    body = msgspec.to_builtins(workload)
    body["spec"].update(changes)
    return msgspec.convert(body, Workload)


def test_the_suggested_priority_preempts_when_it_is_set() -> None:
    job = wl("w", "a", 4)
    given = [cq("a", 4, within="LowerPriority"), wl("r", "a", 4, holds="default", priority=7)]
    answer = ask(scene(*given, job), "w")
    assert [each.text for each in answer.helps if each.kind == "priority"] == ["with priority 8 or more it would preempt Workload ns/r"]
    assert preempted(run(scene(*given, _changed(job, priority=8)))) == {"r": "InClusterQueue"}
    assert preempted(run(scene(*given, _changed(job, priority=7)))) == {}


def test_the_suggested_number_of_pods_fits_when_it_is_set() -> None:
    job = wl("w", "a", 1, count=8)
    given = [cq("a", 8), wl("r", "a", 3, holds="default")]
    answer = ask(scene(*given, job), "w")
    assert [each.text for each in answer.helps if each.kind == "fewer"] == ["with 5 instead of 8 Pods of its pod set it would start now"]
    pod_sets = msgspec.to_builtins(job.spec.pod_sets)
    pod_sets[0]["count"] = 5
    assert admitted(run(scene(*given, _changed(job, podSets=pod_sets)))) == {"w": "default"}


def test_the_named_holders_suffice() -> None:
    holders = [wl(f"r{n}", "a", 1, holds="default", since=n) for n in range(4)]
    answer = ask(scene(cq("a", 4), *holders, wl("w", "a", 2)), "w")
    text = next(each.text for each in answer.helps if each.kind == "wait")
    left = [each for each in holders if f"ns/{each.metadata.name}" not in text]
    assert len(left) == 2
    assert admitted(run(scene(cq("a", 4), *left, wl("w", "a", 2)))) == {"w": "default"}


def test_asking_changes_nothing() -> None:
    snapshot = scene(cq("a", 4, within="LowerPriority"), wl("r", "a", 4, holds="default"), wl("w", "a", 4, priority=3))
    before = dict(snapshot.world.cluster_queues["a"].usage)
    ask(snapshot, "w")
    assert snapshot.world.cluster_queues["a"].usage == before
    assert preempted(run(snapshot)) == {"r": "InClusterQueue"}


def test_the_listing_has_holders_then_the_waiting_in_order() -> None:
    snapshot = scene(cq("a", 4), wl("r", "a", 3, holds="default"), wl("late", "a", 2, created=9), wl("w", "a", 2, created=1, priority=0))
    rows = queue_listing(snapshot, NOW.timestamp())
    assert [(row.workload, row.state, row.position) for row in rows] == [
        ("ns/r", "running", 0),
        ("ns/w", "pending", 1),
        ("ns/late", "pending", 2),
    ]

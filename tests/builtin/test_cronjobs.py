"""What a CronJob starts and deletes, as a table; and one that ticks on the embedded API."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from raysail.api import schedule
from raysail.api.batch import CronJob, Job
from raysail.api.resources import CRON_JOBS, JOBS
from raysail.builtin.cronjobs.controller import CronJobs
from raysail.builtin.cronjobs.decide import decide, last_due
from raysail.kube.clock import VirtualClock
from raysail.kube.manager import Manager
from tests.builtin.conftest import cluster

NOW = datetime(2026, 1, 1, 12, 30, 30, tzinfo=UTC)


def cron(text: str = "*/10 * * * *", *, last: str = "2026-01-01T12:20:00Z", active: list[str] | None = None, **spec: Any) -> CronJob:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"template": {"spec": {}}}}
    wire = {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "c", "namespace": "ns", "uid": "uid-c", "creationTimestamp": "2026-01-01T00:00:00Z"},
        "spec": {"schedule": text, "concurrencyPolicy": "Allow", "jobTemplate": template, **spec},
        "status": {"lastScheduleTime": last or None, "active": [{"name": n, "uid": f"uid-{n}"} for n in active or ()]},
    }
    return msgspec.convert(wire, CronJob)


def job(name: str, ended: str = "", start: str = "2026-01-01T10:00:00Z") -> Job:
    conditions = [{"type": ended, "status": "True"}] if ended else []
    status = {"conditions": conditions, "startTime": start, **({"completionTime": "2026-01-01T11:00:00Z"} if ended == "Complete" else {})}
    return msgspec.convert({"metadata": {"name": name, "namespace": "ns", "uid": f"uid-{name}"}, "status": status}, Job)


AT_30 = f"c-{int(datetime(2026, 1, 1, 12, 30, tzinfo=UTC).timestamp()) // 60}"


@dataclass(frozen=True)
class Case:
    rule: str
    cron: CronJob
    jobs: list[Job] = field(default_factory=list)
    create: str = ""
    delete: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    status: dict[str, Any] | None = None
    wake: float | None = 570.0

    def __str__(self) -> str:
        return self.rule


STARTED = {"lastScheduleTime": "2026-01-01T12:30:00Z"}

CASES = [
    Case("due", cron(), create=AT_30, status=STARTED),
    Case("not due", cron(last="2026-01-01T12:30:00Z")),
    Case("never ran: since its creation, only the last moment", cron(last=""), create=AT_30, status=STARTED),
    Case("missed many: says so, still only the last", cron("* * * * *", last="2026-01-01T09:00:00Z"), create=AT_30, events=["TooManyMissedTimes"], status=STARTED, wake=30.0),
    Case("missed many but with a deadline", cron("* * * * *", last="2026-01-01T09:00:00Z", startingDeadlineSeconds=200), create=AT_30, status=STARTED, wake=30.0),
    Case("too late to start", cron("0 12 * * *", last="2025-12-31T12:00:00Z", startingDeadlineSeconds=60), wake=84570.0),
    Case("suspended", cron(suspend=True), wake=None),
    Case("made before, its status was not written", cron(), [job(AT_30)], status={**STARTED, "active": [AT_30]}),
    Case("Forbid waits for what runs", cron(concurrencyPolicy="Forbid", active=["old"]), [job("old")], events=["JobAlreadyActive"]),
    Case("Replace stops what runs", cron(concurrencyPolicy="Replace", active=["old"]), [job("old")], create=AT_30, delete=["old"], status={**STARTED, "active": None}),
    Case("Allow runs beside", cron(active=["old"]), [job("old")], create=AT_30, status=STARTED),
    Case("sees an end", cron(last="2026-01-01T12:30:00Z", active=["old"]), [job("old", "Complete")], events=["SawCompletedJob"], status={"active": None, "lastSuccessfulTime": "2026-01-01T11:00:00Z"}),
    Case("misses a Job", cron(last="2026-01-01T12:30:00Z", active=["old"]), events=["MissingJob"], status={"active": None}),
    Case("keeps only the last failure", cron(last="2026-01-01T12:30:00Z"), [job("a", "Failed", "2026-01-01T10:00:00Z"), job("b", "Failed", "2026-01-01T10:10:00Z")], delete=["a"]),
    Case("keeps no success", cron(last="2026-01-01T12:30:00Z", successfulJobsHistoryLimit=0), [job("a", "Complete")], delete=["a"], status={"lastSuccessfulTime": "2026-01-01T11:00:00Z"}),
    Case("a schedule that cannot be read", cron("nonsense"), events=["UnparseableSchedule"], wake=None),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=str)
def test_decisions(case: Case) -> None:
    step = decide(case.cron, case.jobs, NOW)
    assert (step.create["metadata"]["name"] if step.create else "") == case.create
    assert [j.metadata.name for j in step.delete] == case.delete
    assert [told.reason for told in step.events] == case.events
    found = dict(step.status) if step.status else None
    if found and found.get("active"):
        found["active"] = [entry["name"] for entry in found["active"]]
    assert found == case.status
    assert step.wake_seconds == case.wake


def test_the_job_bears_its_moment_in_its_zone() -> None:
    body = decide(cron(timeZone="Europe/Berlin"), [], NOW).create
    assert body is not None
    assert body["metadata"]["annotations"] == {"batch.kubernetes.io/cronjob-scheduled-timestamp": "2026-01-01T13:30:00+01:00"}
    assert body["metadata"]["labels"] == {"a": "b"}
    assert body["metadata"]["ownerReferences"][0]["uid"] == "uid-c"


@pytest.mark.parametrize("text", ["* * * * *", "0 3 * * *", "*/7 1-5 * * 1", "0 0 1 1 *", "30 12 29 2 *"])
@pytest.mark.parametrize("days", [1, 40, 800])
def test_the_last_moment_is_the_last(text: str, days: int) -> None:
    plan, since = schedule.parse(text, "UTC"), NOW - timedelta(days=days)
    found, _ = last_due(plan, since, NOW)
    if found is None:
        first = plan.next(since)
        assert first is None or first > NOW
        return
    following = plan.next(found)
    assert since < found <= NOW
    assert following is None or following > NOW


async def test_ticks() -> None:
    async with cluster() as c:
        clock = VirtualClock(c.manager.clock.now())
        manager = Manager(c.client, clock=clock)
        crons = CronJobs(manager)
        manager.add(crons.controller)
        template = {"spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}}
        async with manager:
            await c.create(CRON_JOBS, "c", spec={"schedule": "* * * * *", "jobTemplate": template})
            await crons._crons.until(lambda: crons._crons.get("ns", "c") is not None)
            for count in (1, 2):
                await clock.advance(60)
                await crons._jobs.until(lambda count=count: len(crons._jobs.list("ns")) == count)  # type: ignore[misc]
            found = await c.until(CRON_JOBS, "c", lambda o: o and len(o["status"].get("active") or ()) == 2)
            assert found is not None
            assert {entry["name"] for entry in found["status"]["active"]} == {o["metadata"]["name"] for o in await c.listed(JOBS)}

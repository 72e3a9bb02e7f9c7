"""RayCronJob: which RayJob is due."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from raysail.ray.cronjob import ticks
from raysail.ray.settings import FeatureGates
from raysail.ray.validation import InvalidError
from tests.ray.builders import NOW, ago, cluster_spec, cron_job, group


@pytest.mark.parametrize(
    ("last", "schedule", "at_minutes", "wait_seconds"),
    [
        (ago(10), "*/5 * * * *", 0, 300),  # due this moment
        (ago(0), "*/5 * * * *", None, 300),  # made already: the next one is waited for
        (ago(660), "*/5 * * * *", -10, 0),  # missed ticks are made up for, the oldest first, the next at once
        (ago(10), "@every 1h", None, 3590),
        (ago(10), "0 0 30 2 *", None, None),  # never
    ],
)
def test_due(last: str, schedule: str, at_minutes: int | None, wait_seconds: float | None) -> None:
    tick = ticks.due(cron_job(status={"lastScheduleTime": last}, schedule=schedule), NOW)
    assert tick.at == (None if at_minutes is None else NOW + timedelta(minutes=at_minutes))
    assert tick.wait_seconds == wait_seconds


def test_the_first_tick_counts_from_the_creation() -> None:
    assert ticks.due(cron_job(created=ago(30), schedule="0 * * * *"), NOW).at == NOW
    assert ticks.due(cron_job(created=ago(0), schedule="0 * * * *"), NOW).at is None


def test_a_zone_moves_the_ticks() -> None:
    noon_in_tokyo = cron_job(created=ago(86400), schedule="0 12 * * *", timeZone="Asia/Tokyo")
    assert ticks.due(noon_in_tokyo, NOW).at == NOW.replace(hour=3)


def test_a_ticks_job_has_a_name_of_its_own() -> None:
    cron = cron_job()
    body = ticks.job_of(cron, NOW)
    assert body == ticks.job_of(cron, NOW)
    assert body["metadata"]["name"] != ticks.job_of(cron, NOW + timedelta(minutes=1))["metadata"]["name"]
    assert body["metadata"]["labels"] == {"ray.io/cronjob-name": "rcj"}
    assert body["metadata"]["annotations"] == {"ray.io/cronjob-scheduled-timestamp": "2026-05-01T12:00:00Z"}
    assert body["metadata"]["ownerReferences"][0]["kind"] == "RayCronJob"
    assert body["spec"]["entrypoint"] == "python main.py"


@pytest.mark.parametrize(
    ("name", "spec", "told"),
    [
        ("x" * 60, {}, "name should be no more than"),
        ("rcj", {"schedule": "TZ=UTC * * * * *"}, "use timeZone field instead"),
        ("rcj", {"schedule": "* * *"}, "invalid cron schedule: expected exactly 5 fields"),
        ("rcj", {"timeZone": ""}, "timeZone must not be empty string"),
        ("rcj", {"timeZone": "Mars/Olympus"}, "invalid time zone"),
        ("rcj", {"jobTemplate": {"entrypoint": "x"}}, "invalid RayJob template: The RayJob spec is invalid: one of RayClusterSpec"),
        ("rcj", {"jobTemplate": {"rayClusterSpec": cluster_spec(group(replicas=1, minReplicas=-1))}}, "negative minReplicas"),
    ],
)
def test_what_is_refused(name: str, spec: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidError, match=told):
        ticks.check(cron_job(name=name, **spec), FeatureGates())


def test_what_is_accepted() -> None:
    ticks.check(cron_job(schedule="@hourly", timeZone="Europe/Berlin"), FeatureGates())
    ticks.check(cron_job(timeZone=None), FeatureGates())

"""Cron schedules and the moments they name."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from raysail.api.schedule import ScheduleError, parse


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "after", "moment"),
    [
        ("* * * * *", "2026-01-01T00:00:00", "2026-01-01T00:01:00"),
        ("* * * * *", "2026-01-01T00:00:59", "2026-01-01T00:01:00"),
        ("*/15 * * * *", "2026-01-01T00:46:00", "2026-01-01T01:00:00"),
        ("30 4 * * *", "2026-01-01T04:30:00", "2026-01-02T04:30:00"),
        ("0 0 1 jan *", "2026-01-01T00:00:00", "2027-01-01T00:00:00"),
        ("0 0 29 2 *", "2026-01-01T00:00:00", "2028-02-29T00:00:00"),
        ("0 9 * * mon-fri", "2026-01-02T10:00:00", "2026-01-05T09:00:00"),
        ("0 0 13 * fri", "2026-01-01T00:00:00", "2026-01-02T00:00:00"),
        ("0 0 13 * *", "2026-01-01T00:00:00", "2026-01-13T00:00:00"),
        ("5,10 1-3/2 * * ?", "2026-01-01T01:10:00", "2026-01-01T03:05:00"),
        ("@hourly", "2026-01-01T00:10:00", "2026-01-01T01:00:00"),
        ("@weekly", "2026-01-01T00:10:00", "2026-01-04T00:00:00"),
        ("@every 1h30m", "2026-01-01T00:10:05", "2026-01-01T01:40:05"),
        ("TZ=Asia/Tokyo 0 9 * * *", "2026-01-01T01:00:00", "2026-01-02T00:00:00"),
    ],
)
def test_next(schedule: str, after: str, moment: str) -> None:
    zone = None if schedule.startswith(("TZ", "@every")) else "UTC"
    assert parse(schedule, zone).next(at(after)) == at(moment)


def test_an_hour_that_the_clocks_leave_out_is_skipped() -> None:
    assert parse("30 2 * * *", "Europe/Berlin").next(at("2026-03-28T12:00:00")) == at("2026-03-30T00:30:00")


def test_half_hour_zones() -> None:
    assert parse("0 12 * * *", "Asia/Kolkata").next(at("2026-01-01T00:00:00")) == at("2026-01-01T06:30:00")


def test_what_never_comes() -> None:
    assert parse("0 0 30 2 *", "UTC").next(at("2026-01-01T00:00:00")) is None


@pytest.mark.parametrize(
    ("schedule", "fault"),
    [
        ("* * * *", "expected exactly 5 fields, found 4: [* * * *]"),
        ("61 * * * *", "end of range (61) above maximum (59): 61"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
        ("*/2/3 * * * *", "too many slashes: */2/3"),
        ("x * * * *", 'failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax'),
        ("@often", "unrecognized descriptor: @often"),
        ("@every soon", 'failed to parse duration @every soon: time: invalid duration "soon"'),
        ("TZ=Nowhere/Land * * * * *", "provided bad location Nowhere/Land: unknown time zone Nowhere/Land"),
    ],
)
def test_faults(schedule: str, fault: str) -> None:
    with pytest.raises(ScheduleError) as caught:
        parse(schedule)
    assert str(caught.value) == fault

"""Cron schedules: five fields or a descriptor, and the next moment one names (robfig/cron v3, ParseStandard and SpecSchedule.Next).

Both CronJob and RayCronJob mean these. Times run in a zone: an hour that a clock change leaves out is skipped, one that comes twice counts as
elapsed time does.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
# Minute, hour, day of month, month, day of week: the least and greatest number, and names for numbers.
_FIELDS: Final[tuple[tuple[int, int, dict[str, int]], ...]] = (
    (0, 59, {}),
    (0, 23, {}),
    (1, 31, {}),
    (1, 12, {name: number for number, name in enumerate(_MONTHS, 1)}),
    (0, 6, {name: number for number, name in enumerate(_DAYS)}),
)
_DESCRIPTORS: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_UNIT_SECONDS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION: Final = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ns|us|µs|ms|s|m|h))+")
_DURATION_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ns|us|µs|ms|s|m|h)")
_YEARS: Final = 5
"""So far ahead a moment is looked for: the 30th of February never comes."""


class ScheduleError(ValueError):
    """The text is no schedule, or the zone is unknown. The text says why in the words of robfig/cron."""


@dataclass(frozen=True, slots=True)
class _Field:
    """The numbers that match, and whether it was written as a star, which matters for days."""

    numbers: frozenset[int]
    star: bool


@dataclass(frozen=True, slots=True)
class Schedule:
    """Five fields, or a fixed delay (`@every`). `zone` None: this machine's."""

    fields: tuple[_Field, ...] = ()
    every_seconds: int = 0
    zone: ZoneInfo | None = None

    def next(self, after: datetime) -> datetime | None:
        """The first moment after that one, in UTC; None where none comes within five years."""
        if self.every_seconds:
            return after.astimezone(UTC).replace(microsecond=0) + timedelta(seconds=self.every_seconds)
        minutes, hours, _, months, _ = self.fields
        moment = after.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
        latest = moment.year + _YEARS
        while moment.year <= latest:
            local = moment.astimezone(self.zone)
            if local.month not in months.numbers:
                moment = self._utc(datetime(local.year + local.month // 12, local.month % 12 + 1, 1))
            elif not self._day_matches(local):
                moment = self._utc(datetime(local.year, local.month, local.day) + timedelta(days=1))
            elif local.hour not in hours.numbers:
                moment = (
                    moment.replace(minute=0) + timedelta(hours=1) if not local.minute else moment + timedelta(minutes=60 - local.minute)
                )
            elif local.minute not in minutes.numbers:
                moment += timedelta(minutes=1)
            else:
                return moment
        return None

    def _day_matches(self, local: datetime) -> bool:
        """Day of month and day of week: both must match, or either where both are restricted."""
        _, _, of_month, _, of_week = self.fields
        in_month, in_week = local.day in of_month.numbers, local.isoweekday() % 7 in of_week.numbers
        return (in_month and in_week) if of_month.star or of_week.star else (in_month or in_week)

    def _utc(self, naive: datetime) -> datetime:
        return (naive.replace(tzinfo=self.zone) if self.zone else naive.astimezone()).astimezone(UTC)


def parse(text: str, zone: str | None = None) -> Schedule:
    """A schedule from its text, and maybe a zone such as `Europe/Berlin`. Raises ScheduleError."""
    if text.startswith(("TZ=", "CRON_TZ=")):
        prefix, _, text = text.partition(" ")
        zone, text = prefix.partition("=")[2], text.strip()
        if not text or not _is_zone(zone):
            raise ScheduleError(f"provided bad location {zone}: unknown time zone {zone}")
    where = zone_of(zone) if zone is not None else None
    if text.startswith("@every "):
        return Schedule(every_seconds=max(1, int(_duration_seconds(text, text.removeprefix("@every ")))), zone=where)
    if text.startswith("@"):
        if text not in _DESCRIPTORS:
            raise ScheduleError(f"unrecognized descriptor: {text}")
        text = _DESCRIPTORS[text]
    parts = text.split()
    if len(parts) != len(_FIELDS):
        raise ScheduleError(f"expected exactly 5 fields, found {len(parts)}: [{' '.join(parts)}]")
    return Schedule(tuple(_field(part, *bounds) for part, bounds in zip(parts, _FIELDS, strict=True)), zone=where)


def schedule_fault(text: str) -> str:
    """What is wrong with a schedule; empty if nothing is."""
    try:
        parse(text)
    except ScheduleError as error:
        return str(error)
    return ""


def _is_zone(name: str) -> bool:
    try:
        zone_of(name)
    except ScheduleError:
        return False
    return True


def zone_of(name: str) -> ZoneInfo:
    """A time zone by name. Raises ScheduleError."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, IsADirectoryError) as error:
        raise ScheduleError(f"unknown time zone {name}") from error


def _duration_seconds(text: str, duration: str) -> float:
    if not _DURATION.fullmatch(duration):
        raise ScheduleError(f'failed to parse duration {text}: time: invalid duration "{duration}"')
    return sum(float(number) * _UNIT_SECONDS[unit] for number, unit in _DURATION_PART.findall(duration))


def _field(text: str, low: int, high: int, names: dict[str, int]) -> _Field:
    numbers: set[int] = set()
    star = False
    for expression in text.split(","):
        found, is_star = _range(expression, low, high, names)
        numbers.update(found)
        star = star or is_star
    return _Field(frozenset(numbers), star)


def _range(expression: str, low: int, high: int, names: dict[str, int]) -> tuple[range, bool]:
    whole, *steps = expression.split("/")
    if len(steps) > 1:
        raise ScheduleError(f"too many slashes: {expression}")
    first, *ends = whole.split("-")
    if len(ends) > 1:
        raise ScheduleError(f"too many hyphens: {expression}")
    read: Callable[[str], int] = lambda text: names[text.lower()] if text.lower() in names else _number(text)  # noqa: E731 - three uses, here
    is_star = first in ("*", "?") and not ends
    start = low if is_star else read(first)
    end = high if is_star else read(ends[0]) if ends else high if steps else start
    step = _number(steps[0]) if steps else 1
    if start < low:
        raise ScheduleError(f"beginning of range ({start}) below minimum ({low}): {expression}")
    if end > high:
        raise ScheduleError(f"end of range ({end}) above maximum ({high}): {expression}")
    if start > end:
        raise ScheduleError(f"beginning of range ({start}) beyond end of range ({end}): {expression}")
    if step == 0:
        raise ScheduleError(f"step of range should be a positive number: {expression}")
    return range(start, end + 1, step), is_star and step == 1


def _number(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]+", text, re.ASCII):
        raise ScheduleError(f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax')
    if int(text) < 0:
        raise ScheduleError(f"negative number ({int(text)}) not allowed: {text}")
    return int(text)

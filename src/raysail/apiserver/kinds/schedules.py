"""Cron schedules: whether one can be read (robfig/cron v3 ParseStandard, as batch/v1 CronJobs use it)."""

from __future__ import annotations

import re
from typing import Final

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
_DESCRIPTORS: Final = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_DURATION: Final = re.compile(r"([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+")


def schedule_fault(schedule: str) -> str:
    """What is wrong with a schedule; empty if nothing is."""
    text = schedule
    if text.startswith(("TZ=", "CRON_TZ=")):
        zone, _, text = text.partition(" ")
        if not text:
            return f"provided bad location {zone.partition('=')[2]}"
        text = text.strip()
    if text.startswith("@"):
        return _descriptor_fault(text)
    parts = text.split()
    if len(parts) != len(_FIELDS):
        return f"expected exactly 5 fields, found {len(parts)}: [{' '.join(parts)}]"
    for part, (low, high, names) in zip(parts, _FIELDS, strict=True):
        for expression in part.split(","):
            fault = _expression_fault(expression, low, high, names)
            if fault:
                return fault
    return ""


def _descriptor_fault(text: str) -> str:
    if text in _DESCRIPTORS:
        return ""
    if text.startswith("@every "):
        duration = text.removeprefix("@every ")
        return "" if _DURATION.fullmatch(duration) else f'failed to parse duration {text}: time: invalid duration "{duration}"'
    return f"unrecognized descriptor: {text}"


def _expression_fault(expression: str, low: int, high: int, names: dict[str, int]) -> str:
    whole, *steps = expression.split("/")
    if len(steps) > 1:
        return f"too many slashes: {expression}"
    start_text, *ends = whole.split("-")
    if len(ends) > 1:
        return f"too many hyphens: {expression}"
    if start_text in ("*", "?"):
        if ends:
            return f'failed to parse int from {start_text}: strconv.Atoi: parsing "{start_text}": invalid syntax'
        start, end = low, high
    else:
        numbers = []
        for text in (start_text, *ends):
            number = names.get(text.lower())
            if number is None:
                if not re.fullmatch(r"[+-]?[0-9]+", text, re.ASCII):
                    return f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax'
                number = int(text)
                if number < 0:
                    return f"negative number ({number}) not allowed: {text}"
            numbers.append(number)
        start = numbers[0]
        end = numbers[1] if ends else high if steps else start
    if steps:
        if not re.fullmatch(r"[0-9]+", steps[0], re.ASCII):
            return f'failed to parse int from {steps[0]}: strconv.Atoi: parsing "{steps[0]}": invalid syntax'
        if int(steps[0]) == 0:
            return f"step of range should be a positive number: {expression}"
    if start < low:
        return f"beginning of range ({start}) below minimum ({low}): {expression}"
    if end > high:
        return f"end of range ({end}) above maximum ({high}): {expression}"
    if start > end:
        return f"beginning of range ({start}) beyond end of range ({end}): {expression}"
    return ""

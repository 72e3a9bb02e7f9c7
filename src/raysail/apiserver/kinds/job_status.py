"""What the status of a Job may say, and how it may change (validateJobStatus, ValidateJobStatusUpdate, getStatusValidationOptions).

Most rules are applied only where the fields they are about change, so that a status that broke a rule before can still be written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from raysail.api.causes import duplicate, invalid, invalid_without_value, required
from raysail.apiserver.kinds.fields import IMMUTABLE, Faults, JsonMap, check_nonnegative

_TERMINAL: Final = ("Failed", "Complete", "FailureTarget")


def indexes(text: str, completions: int) -> set[int]:
    """The indexes of `1,3-5`. Raises ValueError."""
    found: set[int] = set()
    last = -1
    for part in text.split(",") if text else ():
        first_text, dash, last_text = part.partition("-")
        try:
            low = int(first_text)
            high = int(last_text) if dash else low
        except ValueError:
            raise ValueError(f"cannot convert string to integer for index: {part!r}") from None
        for index in (low, high):
            if index >= completions:
                raise ValueError(f"too large index: {part!r}")
        if dash and high <= low:
            raise ValueError(f"non-increasing order, previous: {low}, current: {high}")
        if low <= last:
            raise ValueError(f"non-increasing order, previous: {last}, current: {low}")
        found.update(range(low, high + 1))
        last = high
    return found


def _is_true(status: Mapping[str, Any], kind: str) -> bool:
    return any(c.get("type") == kind and c.get("status") == "True" for c in status.get("conditions") or ())


def _is_finished(status: Mapping[str, Any]) -> bool:
    return _is_true(status, "Complete") or _is_true(status, "Failed")


def check_job_status(obj: JsonMap, old: JsonMap, faults: Faults) -> None:
    """A status write."""
    spec, status, was = obj.get("spec") or {}, obj.get("status") or {}, old.get("status") or {}
    for name in ("active", "succeeded", "failed", "ready", "terminating"):
        check_nonnegative(status.get(name), f"status.{name}", faults)
    _check_uncounted(status.get("uncountedTerminatedPods") or {}, faults)
    _check_conditions(status, was, faults)
    _check_counts(spec, status, was, faults)
    _check_times(spec, status, was, faults)
    _check_indexes(spec, status, was, faults)


def _check_uncounted(uncounted: JsonMap, faults: Faults) -> None:
    seen: set[str] = set()
    for name in ("succeeded", "failed"):
        for index, uid in enumerate(uncounted.get(name) or ()):
            here = f"status.uncountedTerminatedPods.{name}[{index}]"
            if not uid:
                faults.append(invalid(here, uid, "must not be empty"))
            elif uid in seen:
                faults.append(duplicate(here, uid))
            seen.add(uid)


def _check_conditions(status: JsonMap, was: JsonMap, faults: Faults) -> None:
    complete, failed = _is_true(status, "Complete"), _is_true(status, "Failed")
    target, met = _is_true(status, "FailureTarget"), _is_true(status, "SuccessCriteriaMet")

    def refuse(text: str) -> None:
        faults.append(invalid_without_value("status.conditions", text))

    complete_changed = complete != _is_true(was, "Complete")
    failed_changed = failed != _is_true(was, "Failed")
    if (complete_changed or failed_changed) and complete and failed:
        refuse("cannot set Complete=True and Failed=true conditions")
    if (complete_changed or target != _is_true(was, "FailureTarget")) and complete and target:
        refuse("cannot set Complete=True and FailureTarget=true conditions")
    if (failed_changed or status.get("failedIndexes") != was.get("failedIndexes")) and failed and not target:
        refuse("cannot set Failed=True condition without the FailureTarget=true condition")
    if (complete_changed or met != _is_true(was, "SuccessCriteriaMet")) and complete and not met:
        refuse("cannot set Complete=True condition without the SuccessCriteriaMet=true condition")
    if met and failed:
        refuse("cannot set SuccessCriteriaMet=True and Failed=true conditions")
    if met and target:
        refuse("cannot set SuccessCriteriaMet=True and FailureTarget=true conditions")
    for kind in _TERMINAL:
        if _is_true(was, kind) and not _is_true(status, kind):
            refuse(f"cannot disable the terminal {kind}=True condition")
    if _is_true(was, "SuccessCriteriaMet") and not met:
        refuse("cannot disable the SuccessCriteriaMet=True condition")
    if _is_true(was, "Complete") and not _is_true(was, "SuccessCriteriaMet") and met:
        refuse("cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions")


def _check_counts(spec: JsonMap, status: JsonMap, was: JsonMap, faults: Faults) -> None:
    finished = _is_finished(status)
    finished_changed = finished != _is_finished(was)

    def changed(name: str) -> bool:
        return bool(status.get(name) != was.get(name))

    active, ready = status.get("active", 0), status.get("ready")
    if finished and (finished_changed or changed("active")) and active > 0:
        faults.append(invalid("status.active", active, "active>0 is invalid for finished job"))
    uncounted = status.get("uncountedTerminatedPods") or {}
    if finished and (finished_changed or changed("uncountedTerminatedPods")) and (uncounted.get("succeeded") or uncounted.get("failed")):
        faults.append(invalid("status.uncountedTerminatedPods", uncounted, "must be empty for finished job"))
    terminating = status.get("terminating")
    if finished and (finished_changed or changed("terminating")) and terminating:
        faults.append(invalid("status.terminating", terminating, "terminating>0 is invalid for finished job"))
    if (changed("ready") or changed("active")) and ready is not None and ready > active:
        faults.append(invalid("status.ready", ready, "cannot set more ready pods than active"))
    if status.get("failed", 0) < was.get("failed", 0):
        faults.append(invalid("status.failed", status.get("failed", 0), "cannot decrease the failed counter"))
    elastic = spec.get("completionMode") == "Indexed" and spec.get("completions") == spec.get("parallelism")
    if not elastic and status.get("succeeded", 0) < was.get("succeeded", 0):
        faults.append(invalid("status.succeeded", status.get("succeeded", 0), "cannot decrease the succeeded counter"))


def _check_times(spec: JsonMap, status: JsonMap, was: JsonMap, faults: Faults) -> None:
    start, end = status.get("startTime"), status.get("completionTime")
    old_start, old_end = was.get("startTime"), was.get("completionTime")
    complete, finished = _is_true(status, "Complete"), _is_finished(status)
    complete_changed = complete != _is_true(was, "Complete")
    if (complete_changed or end != old_end) and end is not None and not complete:
        text = "cannot set completionTime when there is no Complete=True condition"
        faults.append(invalid("status.completionTime", end, text))
    if (complete_changed or end != old_end) and end is None and complete:
        faults.append(required("status.completionTime", "completionTime is required for Complete jobs"))
    if (start != old_start or end != old_end) and start is not None and end is not None and end < start:
        faults.append(invalid("status.completionTime", end, "must be equal to or after `startTime`"))
    nothing_to_do = spec.get("suspend") and spec.get("completions") == 0
    if finished and (finished != _is_finished(was) or start != old_start) and start is None and not nothing_to_do:
        faults.append(required("status.startTime", "startTime is required for finished job"))
    if end is not None and old_end is not None and end != old_end:
        faults.append(invalid("status.completionTime", end, IMMUTABLE))
    resuming = _is_true(was, "Suspended") and not _is_true(status, "Suspended")
    if old_start is not None and start != old_start and not spec.get("suspend") and not resuming:
        faults.append(invalid("status.startTime", start, "field is immutable for unsuspended job once set"))


def _check_indexes(spec: JsonMap, status: JsonMap, was: JsonMap, faults: Faults) -> None:
    completed, failed = status.get("completedIndexes", ""), status.get("failedIndexes")
    completed_changed = completed != was.get("completedIndexes", "")
    failed_changed = failed != was.get("failedIndexes")
    completions = spec.get("completions")
    done: set[int] = set()
    if completions is not None:
        try:
            done = indexes(completed, completions)
        except ValueError as error:
            if completed_changed:
                faults.append(invalid("status.completedIndexes", completed, f"error parsing completedIndexes: {error}"))
    if completed_changed and completed and spec.get("completionMode") != "Indexed":
        text = "cannot set non-empty completedIndexes when non-indexed completion mode"
        faults.append(invalid("status.completedIndexes", completed, text))
    if failed is None:
        return
    if failed_changed and spec.get("backoffLimitPerIndex") is None:
        text = "cannot set non-null failedIndexes when backoffLimitPerIndex is null"
        faults.append(invalid("status.failedIndexes", failed, text))
        return
    if completions is None or not (failed_changed or completed_changed):
        return
    try:
        lost = indexes(failed, completions)
    except ValueError as error:
        faults.append(invalid("status.failedIndexes", failed, f"error parsing failedIndexes: {error}"))
        return
    if lost & done:
        text = f"failedIndexes and completedIndexes overlap at index: {min(lost & done)}"
        faults.append(invalid("status.failedIndexes", failed, text))

"""Conditions move as apimachinery moves them; refusals are Statuses."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from raysail.api import errors
from raysail.api.conditions import find, is_false, is_true, set_condition
from raysail.api.errors import Cause, StatusError
from raysail.api.meta import Condition

EARLY, LATE = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)


def test_a_condition_s_time_moves_only_with_its_status() -> None:
    conditions: list[dict[str, Any]] = []
    assert set_condition(conditions, "Ready", False, "Starting", "not yet", EARLY)
    assert not set_condition(conditions, "Ready", False, "Starting", "not yet", LATE)
    assert set_condition(conditions, "Ready", False, "Slow", "still not", LATE)
    assert conditions[0]["lastTransitionTime"] == "2026-01-01T00:00:00Z"
    assert set_condition(conditions, "Ready", True, "Up", "", LATE, observed_generation=3)
    assert conditions == [
        {
            "type": "Ready",
            "status": "True",
            "reason": "Up",
            "message": "",
            "observedGeneration": 3,
            "lastTransitionTime": "2026-01-02T00:00:00Z",
        }
    ]


def test_conditions_are_found_by_type() -> None:
    conditions = msgspec.convert([{"type": "A", "status": "True"}, {"type": "B", "status": "False"}], list[Condition])
    assert (is_true(conditions, "A"), is_false(conditions, "B"), is_true(conditions, "C"), find(None, "A")) == (True, True, False, None)


def test_a_refusal_survives_the_wire() -> None:
    refusal = errors.invalid("ray.io", "RayJob", "a", [Cause("FieldValueInvalid", 'Invalid value: "x": no', "spec.suspend")])
    assert refusal.message == 'RayJob.ray.io "a" is invalid: spec.suspend: Invalid value: "x": no'
    back = StatusError.from_status(refusal.to_status())
    assert (back.code, back.reason, back.message, back.causes) == (422, "Invalid", refusal.message, refusal.causes)


def test_several_faults_are_listed_once_each() -> None:
    causes = [Cause("FieldValueRequired", "Required value", "a"), Cause("FieldValueRequired", "Required value", "b")]
    message = errors.invalid("", "Pod", "p", [*causes, causes[0]]).message
    assert message == 'Pod "p" is invalid: [a: Required value, b: Required value]'


def test_kinds_of_refusals_are_told_apart() -> None:
    assert errors.is_not_found(errors.not_found("", "pods", "a"))
    assert errors.is_already_exists(errors.already_exists("", "pods", "a"))
    conflict = errors.conflict("apps", "deployments", "a", "the object has been modified")
    assert errors.is_conflict(conflict)
    assert not errors.is_already_exists(conflict)
    assert conflict.code == 409
    assert not errors.is_not_found(ValueError())

"""Label and field selectors, from text and from objects."""

from __future__ import annotations

from typing import Any

import pytest

from raysail.api.selectors import SelectorError, from_object, parse_fields, parse_labels

LABELS = {"app": "ray", "tier": "2"}


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("", True),
        ("app=ray", True),
        ("app==ray,tier=2", True),
        ("app!=ray", False),
        ("gone!=x", True),
        ("app in (ray,spark)", True),
        ("app notin (ray)", False),
        ("gone notin (x)", True),
        ("app", True),
        ("!app", False),
        ("!gone", True),
        ("tier>1", True),
        ("tier<2", False),
        ("app>1", False),
        ("example.com/a=b", False),
    ],
)
def test_terms_of_text(text: str, selected: bool) -> None:
    assert parse_labels(text).matches(LABELS) is selected


@pytest.mark.parametrize("text", ["a=b=c", "a in b", "-a=b", "a=b,,c d", "a in (b", "x=@"])
def test_what_is_no_selector_is_refused(text: str) -> None:
    with pytest.raises(SelectorError):
        parse_labels(text)


@pytest.mark.parametrize(
    ("selector", "selected"),
    [
        (None, False),
        ({}, True),
        ({"matchLabels": {"app": "ray"}}, True),
        ({"matchLabels": {"app": "x"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["ray"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, False),
    ],
)
def test_selector_objects(selector: dict[str, Any] | None, selected: bool) -> None:
    assert from_object(selector).matches(LABELS) is selected


@pytest.mark.parametrize(
    "expression",
    [{"key": "a", "operator": "Is"}, {"key": "a", "operator": "In"}, {"key": "a", "operator": "Exists", "values": ["x"]}],
)
def test_selector_objects_that_make_no_sense_are_refused(expression: dict[str, Any]) -> None:
    with pytest.raises(SelectorError):
        from_object({"matchExpressions": [expression]})


def test_field_selectors() -> None:
    first, second = parse_fields(r"metadata.name=a\,b,status.phase!=Failed")
    assert (first.path, first.value, first.equal) == ("metadata.name", "a,b", True)
    assert (second.path, second.value, second.equal) == ("status.phase", "Failed", False)
    with pytest.raises(SelectorError):
        parse_fields("metadata.name")

"""Names, keys and values, and how Go reads numbers and writes values."""

from __future__ import annotations

import pytest

from raysail.api import causes
from raysail.api.go_parse import parse_bool, parse_int
from raysail.api.go_text import number_text, quote, value_text
from raysail.api.names import (
    annotations_causes,
    conditions_causes,
    domain_prefixed_path_causes,
    label_1035_faults,
    label_key_faults,
    label_selector_causes,
    label_value_faults,
    subdomain_faults,
)


@pytest.mark.parametrize(
    ("key", "beginnings"),
    [
        ("app", []),
        ("example.com/App_1", []),
        ("@x", ["name part must consist"]),
        ("/x", ["prefix part must be non-empty"]),
        ("x/", ["name part must be non-empty", "name part must consist"]),
        ("A.com/x", ["prefix part a lowercase RFC 1123 subdomain"]),
        ("a/b/c", ["a valid label key must consist"]),
        ("a" * 64, ["name part must be no more than 63 bytes"]),
    ],
)
def test_label_keys(key: str, beginnings: list[str]) -> None:
    faults = label_key_faults(key)
    assert len(faults) == len(beginnings)
    assert all(fault.startswith(wanted) for fault, wanted in zip(faults, beginnings, strict=True))


def test_names_and_values() -> None:
    assert subdomain_faults("a-1.b") == []
    assert subdomain_faults("A") != []
    assert subdomain_faults("a" * 254) == ["must be no more than 253 bytes"]
    assert label_1035_faults("1a") != []
    assert label_value_faults("") == []
    assert label_value_faults("-") != []


def test_annotation_keys_may_be_in_capitals_and_all_of_them_are_bounded() -> None:
    assert annotations_causes({"EXAMPLE.com/A": "x"}, "metadata.annotations") == []
    (cause,) = annotations_causes({"a": "x" * 262144}, "metadata.annotations")
    assert cause.message == "Too long: may not be more than 262144 bytes"


def test_selectors_are_checked_place_by_place() -> None:
    selector = {
        "matchLabels": {"a": "@"},
        "matchExpressions": [
            {"key": "k", "operator": "In"},
            {"key": "k", "operator": "Exists", "values": ["v"]},
            {"key": "", "operator": "Is"},
        ],
    }
    assert [cause.field for cause in label_selector_causes(selector, "s")] == [
        "s.matchLabels",
        "s.matchExpressions[0].values",
        "s.matchExpressions[1].values",
        "s.matchExpressions[2].operator",
        "s.matchExpressions[2].key",
        "s.matchExpressions[2].key",
    ]


def test_domain_prefixed_paths() -> None:
    assert domain_prefixed_path_causes("acme.io/a/b", "f") == []
    assert [cause.message for cause in domain_prefixed_path_causes("", "f")] == ["Required value"]
    assert domain_prefixed_path_causes("acme.io", "f") != []
    assert domain_prefixed_path_causes("Acme/x y", "f") != []


def test_conditions() -> None:
    fine = {"type": "Ready", "status": "True", "reason": "Up", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    assert conditions_causes([fine], "c") == []
    fields = [cause.field for cause in conditions_causes([fine, {"type": "Ready", "status": "Yes"}], "c")]
    assert fields == ["c[1].type", "c[1].status", "c[1].lastTransitionTime", "c[1].reason"]


def test_numbers_are_read_as_go_reads_them() -> None:
    assert parse_int("-12") == -12
    assert [parse_bool(text) for text in ("T", "0")] == [True, False]
    with pytest.raises(ValueError, match="invalid syntax"):
        parse_int(" 1")
    with pytest.raises(ValueError, match="value out of range"):
        parse_int("2147483648", "ParseInt", 32)
    with pytest.raises(ValueError, match="ParseBool"):
        parse_bool("yes")


def test_values_are_written_as_go_writes_them() -> None:
    assert quote('a"\n\x01') == '"a\\"\\n\\x01"'
    assert [number_text(number) for number in (1, 1.0, 0.5, 1e21, True)] == ["1", "1", "0.5", "1e+21", "true"]
    assert value_text({"b": 1, "a": "<"}) == '{"a":"\\u003c","b":1}'
    assert causes.not_supported("f", "x", ["a", "b"]).message == 'Unsupported value: "x": supported values: "a", "b"'
    assert causes.too_many("f", 3, 1).message == "Too many: 3: must have at most 1 item"

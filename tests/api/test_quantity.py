"""Quantities: exact, rounded up, written back as Kubernetes does."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysail.api.quantity import NANO, QuantityError, amount, canonical, format_amount, format_nano, parse, parse_milli, parse_nano


@pytest.mark.parametrize(
    ("text", "nano"),
    [
        ("0", 0),
        ("1", NANO),
        ("500m", NANO // 2),
        ("1.5", NANO * 3 // 2),
        (".5", NANO // 2),
        ("5.", 5 * NANO),
        ("+2", 2 * NANO),
        ("-1k", -1000 * NANO),
        ("1Ki", 1024 * NANO),
        ("0.5Gi", 512 * 1024 * 1024 * NANO),
        ("1e3", 1000 * NANO),
        ("1E3", 1000 * NANO),
        ("1E", 10**18 * NANO),
        ("1n", 1),
        ("0.1n", 1),
        (7, 7 * NANO),
        (0.25, NANO // 4),
    ],
)
def test_values(text: str | int | float, nano: int) -> None:
    assert parse_nano(text) == nano


@pytest.mark.parametrize("text", ["", "1K", "1 Gi", "1_000", "1GiB", "abc", "1e", "--1", "\u0661"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(QuantityError):
        parse_nano(text)


def test_cpu_counts_in_thousandths_and_all_else_in_units_both_rounded_up() -> None:
    assert amount("cpu", "1.0001") == 1001
    assert amount("memory", "1Ki") == 1024
    assert parse("1500m") == 2
    assert parse_milli("1n") == 1


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1000m", "1"),
        ("1024Ki", "1Mi"),
        ("0.5Gi", "512Mi"),
        ("1500", "1500"),
        ("2000", "2k"),
        ("1e3", "1e3"),
        ("100000", "100k"),
        ("0.001", "1m"),
        ("0", "0"),
    ],
)
def test_canonical_form_keeps_the_family_of_suffixes(text: str, wanted: str) -> None:
    assert canonical(text) == wanted


@given(st.integers(-(10**27), 10**27), st.booleans())
def test_what_is_written_reads_back_the_same(nano: int, binary: bool) -> None:
    assert parse_nano(format_nano(nano, binary=binary)) == nano


@given(st.decimals(min_value=0, max_value=10**6, places=3))
def test_milli_is_exact(value: Decimal) -> None:
    assert parse_milli(str(value)) == int(value * 1000)


def test_amounts_are_written_in_the_resource_s_usual_suffixes() -> None:
    assert format_amount("cpu", 1500) == "1500m"
    assert format_amount("memory", 3 * 1024**3) == "3Gi"
    assert format_amount("nvidia.com/gpu", 4) == "4"

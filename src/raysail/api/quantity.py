"""Quantities such as `500m`, `2Gi`, `1e3`: parsed once into exact integers, written back in Kubernetes' canonical form.

Grammar and rounding: k8s.io/apimachinery/pkg/api/resource/quantity.go. Values finer than a nano are rounded up, as there.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache
from typing import Final

Quantity = str | int | float
"""How a quantity appears in JSON: usually text, sometimes a bare number."""

NANO: Final = 1_000_000_000
_GRAMMAR: Final = re.compile(r"([+-]?)([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(Ki|Mi|Gi|Ti|Pi|Ei|[numkMGTPE]|[eE][+-]?[0-9]+)?", re.ASCII)
_BINARY: Final = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_SUFFIX_OF_EXPONENT: Final = {exponent: suffix for suffix, exponent in _DECIMAL.items()}


class QuantityError(ValueError):
    """The text is not a quantity."""


@lru_cache(maxsize=65536)
def _nano(text: str) -> int:
    match = _GRAMMAR.fullmatch(text)
    if match is None:
        raise QuantityError(f"{text!r} is not a quantity: expected a number with an optional suffix such as 500m, 2Gi, 1.5 or 1e3")
    sign, digits, suffix = match.groups()
    scaled = Decimal(digits) * NANO
    if suffix in _BINARY:
        scaled *= 1024 ** _BINARY[suffix]
    else:
        exponent = _DECIMAL[suffix] if suffix in _DECIMAL else int(suffix[1:]) if suffix else 0
        if abs(exponent) > 30:
            raise QuantityError(f"{text!r} is out of range")
        scaled *= Decimal(10) ** exponent
    whole = int(scaled) if scaled == int(scaled) else int(scaled) + 1
    return -whole if sign == "-" else whole


def parse_nano(value: Quantity) -> int:
    """The value in billionths. Raises QuantityError."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise QuantityError(f"{value!r} is not a quantity")
    return value * NANO if type(value) is int else _nano(str(value))


def parse_milli(value: Quantity) -> int:
    """The value in thousandths, rounded up (Quantity.MilliValue). Raises QuantityError."""
    return -(-parse_nano(value) // 1_000_000)


def parse(value: Quantity) -> int:
    """The value in whole units, rounded up (Quantity.Value). Raises QuantityError."""
    return -(-parse_nano(value) // NANO)


def amount(resource: str, value: Quantity) -> int:
    """What schedulers count: `cpu` in millicores, everything else in whole units."""
    return parse_milli(value) if resource == "cpu" else parse(value)


def format_amount(resource: str, units: int, *, binary: bool | None = None) -> str:
    """The text for an `amount`. Memory-like resources have binary suffixes, where they are whole, unless `binary` says otherwise."""
    if resource == "cpu":
        return format_nano(units * 1_000_000)
    use_binary = (
        binary if binary is not None else resource in ("memory", "ephemeral-storage", "storage") or resource.startswith("hugepages-")
    )
    return format_nano(units * NANO, binary=use_binary and units % 1024 == 0)


def format_nano(nano: int, *, binary: bool = False) -> str:
    """Canonical text of a value in billionths: the largest suffix without a fraction (Quantity.String)."""
    if nano == 0:
        return "0"
    if binary and nano % NANO == 0 and abs(nano) >= 1024 * NANO:
        whole, power = nano // NANO, 0
        while whole % 1024 == 0 and power < 6:
            whole, power = whole // 1024, power + 1
        return f"{whole}{next((s for s, p in _BINARY.items() if p == power), '')}"
    mantissa, exponent = nano, -9
    while mantissa % 1000 == 0 and exponent < 18:
        mantissa, exponent = mantissa // 1000, exponent + 3
    return f"{mantissa}{_SUFFIX_OF_EXPONENT[exponent]}"


def canonical(value: Quantity) -> str:
    """The text as kube-apiserver stores it: the family of suffixes (binary, decimal, exponent) stays that of the input. Raises QuantityError."""
    text = str(value)
    nano = parse_nano(value)
    match = _GRAMMAR.fullmatch(text)
    suffix = match.group(3) if match else None
    if suffix in _BINARY:
        return format_nano(nano, binary=True)
    if suffix and suffix not in _DECIMAL:
        mantissa, exponent = nano, -9
        while mantissa and mantissa % 1000 == 0:
            mantissa, exponent = mantissa // 1000, exponent + 3
        return f"{mantissa}e{exponent}" if exponent else str(mantissa)
    return format_nano(nano)

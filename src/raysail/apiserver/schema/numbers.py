"""Numbers as Go's JSON sees them: what fits int32, what counts as an integer, what is a multiple.

Source: k8s.io/kube-openapi pkg/validation/validate/values.go, go-openapi/swag.
"""

from __future__ import annotations

import math
import sys
from typing import Any, Final

MAX_INT32: Final = 2**31 - 1
MIN_INT32: Final = -(2**31)
MAX_INT64: Final = 2**63 - 1
MIN_INT64: Final = -(2**63)
_MAX_FLOAT32: Final = 3.4028234663852886e38
_EPSILON: Final = 1e-9
_SAFE: Final = 2**53 - 1


def is_integral(value: float) -> bool:
    """Whether a float is a JSON integer: whole up to rounding noise, within ±(2^53 - 1)."""
    if math.isnan(value) or not -_SAFE <= value <= _SAFE:
        return False
    whole = float(math.trunc(value))
    difference = abs(value - whole)
    if difference == 0:
        return True
    if value == 0 or whole == 0 or difference < sys.float_info.min:
        return difference < _EPSILON * sys.float_info.min
    return difference / min(abs(value) + abs(whole), sys.float_info.max) < _EPSILON


def is_multiple(value: float, factor: float) -> bool:
    """Whether `value` is a whole multiple of `factor`; never of one that is not positive."""
    if factor <= 0:
        return False
    if isinstance(value, int) and float(factor).is_integer():
        return value % int(factor) == 0
    return is_integral(1 / factor * value if factor < 1 else value / factor)


def fits_format(value: float, schema_type: str, number_format: str) -> bool:
    """Whether a number lies in the range of its type and format; types other than integer and number have no range."""
    if schema_type == "integer":
        if isinstance(value, float) and not value.is_integer():
            return False
        if number_format == "int32":
            return MIN_INT32 <= value <= MAX_INT32
        return MIN_INT64 <= value <= MAX_INT64
    if schema_type == "number" and number_format == "float":
        return abs(value) <= _MAX_FLOAT32
    return True


def as_go_number(value: Any) -> Any:
    """A JSON number as Go would hold it: an integer outside int64 becomes a float64."""
    if type(value) is int and not MIN_INT64 <= value <= MAX_INT64:
        return float(value)
    return value

"""How Go writes values into messages: `%q`, `json.Marshal` and `%v` of numbers.

Clients print the texts of refusals as they are, so they should read as Kubernetes' own.
Source: Go's strconv.Quote, encoding/json (HTML-safe, keys sorted), fmt.
"""

from __future__ import annotations

import json
import math
from typing import Any, Final

_ESCAPES: Final = {
    ord("\a"): "\\a",
    ord("\b"): "\\b",
    ord("\f"): "\\f",
    ord("\n"): "\\n",
    ord("\r"): "\\r",
    ord("\t"): "\\t",
    ord("\v"): "\\v",
    ord('"'): '\\"',
    ord("\\"): "\\\\",
}
_HTML: Final = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026", 0x2028: "\\u2028", 0x2029: "\\u2029"}


def quote(text: str) -> str:
    """`%q`: printable characters stay, others are escaped."""
    quoted = text.translate(_ESCAPES)
    if not quoted.isprintable():
        quoted = "".join(c if c.isprintable() else _escape(ord(c)) for c in quoted)
    return f'"{quoted}"'


def _escape(code: int) -> str:
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def json_text(value: Any) -> str:
    """`json.Marshal` of a JSON value."""
    return json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"), sort_keys=True).translate(_HTML)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 1e21 else value
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return value


def number_text(value: float) -> str:
    """`%v` of an int64 or float64: 100, 0.5, 1e+21."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value == 0:
        return "-0" if math.copysign(1, value) < 0 else "0"
    mantissa, _, exponent = f"{value!r}".partition("e")
    power = math.floor(math.log10(abs(value)))
    if -5 < power + 1 <= 21 and not exponent:
        return mantissa.removesuffix(".0")
    if -5 < power + 1 <= 21:
        text = f"{value:.30f}".rstrip("0").rstrip(".") if power < 0 else str(int(value))
        return text if float(text) == value else f"{value:f}".rstrip("0").rstrip(".")
    digits = f"{value:.17e}"
    for precision in range(17):
        short = f"{value:.{precision}e}"
        if float(short) == value:
            digits = short
            break
    head, _, tail = digits.partition("e")
    sign = tail[0] if tail[0] in "+-" else "+"
    return f"{head}e{sign}{tail.lstrip('+-').zfill(2)}"


def value_text(value: Any) -> str:
    """A bad value as a field error shows it: numbers and booleans plain, text quoted, the rest as JSON."""
    if isinstance(value, str):
        return quote(value)
    if isinstance(value, bool | int | float):
        return number_text(value)
    return json_text(value)


def type_name(value: Any) -> str:
    """The Go type of a decoded JSON value, as `%T` prints it."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int64"
    if isinstance(value, float):
        return "float64"
    if isinstance(value, str):
        return "string"
    return "[]interface {}" if isinstance(value, list) else "map[string]interface {}"


def plain_text(value: Any) -> str:
    """`%v` of a decoded JSON value."""
    if value is None:
        return "<nil>"
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return number_text(value)
    if isinstance(value, list):
        return "[" + " ".join(plain_text(v) for v in value) + "]"
    return "map[" + " ".join(f"{k}:{plain_text(value[k])}" for k in sorted(value)) + "]"

"""The `format`s of text that Kubernetes checks in custom resources.

What each accepts follows k8s.io/kube-openapi/pkg/validation/strfmt; names compare without dashes (`date-time` is `datetime`). Formats outside this table
are not checked, as Kubernetes strips those it does not know (apiextensions pkg/apiserver/validation/formats.go).
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Final
from urllib.parse import urlsplit

from raysail.apiserver.schema.patterns import compile_pattern

_CLOCK: Final = re.compile(r"([0-9]{2}):([0-9]{2}):([0-9]{2})(.[0-9]+)?(z|([+-][0-9]{2}:[0-9]{2}))", re.ASCII)
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_GO_DURATION: Final = re.compile(r"[-+]?(0|((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+)", re.ASCII)
_SCALA_DURATION: Final = re.compile(r"\d+\s*([A-Za-zµ]+)", re.ASCII)
_DURATION_UNITS: Final = (
    frozenset({"ns", "us", "µs", "ms", "s", "m", "h", "hr", "d", "w", "wk"}),
    ("nano", "micro", "milli", "sec", "min", "hour", "day", "week"),
)
_SHORT_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", re.ASCII)
_LONG_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", re.ASCII)
_HOSTNAME: Final = (
    r"^([a-zA-Z0-9\p{S}\p{L}]((-?[a-zA-Z0-9\p{S}\p{L}]{0,62})?)|([a-zA-Z0-9\p{S}\p{L}](([a-zA-Z0-9\-\p{S}\p{L}]{0,61}"
    r"[a-zA-Z0-9\p{S}\p{L}])?)(\.)){1,}([a-zA-Z\p{L}]){2,63})$"
)
_ASCII_HOSTNAME: Final = _HOSTNAME.replace(r"\p{S}\p{L}", r"\$+<=>\^`\|~").replace(
    r"\p{L}", ""
)  # the same for ASCII text, without the wait for Unicode classes
_CARD: Final = re.compile(
    r"(?:4[0-9]{12}(?:[0-9]{3})?|5[1-5][0-9]{14}|6(?:011|5[0-9][0-9])[0-9]{12}|3[47][0-9]{13}|3(?:0[0-5]|[68][0-9])[0-9]{11}"
    r"|(?:2131|1800|35\d{3})\d{11})",
    re.ASCII,
)


def _matcher(pattern: str, flags: int = 0) -> Callable[[str], bool]:
    compiled = re.compile(pattern, re.ASCII | flags)
    return lambda text: compiled.fullmatch(text) is not None


def is_date(text: str) -> bool:
    """2006-01-02."""
    if not _DATE.fullmatch(text):
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def is_date_time(text: str) -> bool:
    """RFC 3339, with a zone; a T in lower case is accepted."""
    parts = text.lower().split("t")
    if len(text) < 4 or len(parts) < 2 or not is_date(parts[0]):
        return False
    found = _CLOCK.fullmatch(parts[1])
    return found is not None and found[1] <= "23" and found[2] <= "59" and found[3] <= "59"


def is_duration(text: str) -> bool:
    """Go's 1h30m, or the looser `2 days`."""
    if _GO_DURATION.fullmatch(text):
        return True
    exact, prefixes = _DURATION_UNITS
    return any((unit := m[1].lower()) in exact or unit.startswith(prefixes) for m in _SCALA_DURATION.finditer(text))


def is_byte(text: str) -> bool:
    """Base 64 with padding; the empty text is refused, as upstream."""
    if not text or len(text) % 4:
        return False
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _is_ipv4(text: str) -> bool:
    parts = text.split(".")
    plain = len(parts) == 4 and all(p.isascii() and p.isdigit() and len(p) <= 3 and int(p) < 256 for p in parts)
    return plain or ("." in text and ":" in text and _is_ip6_text(text))


def _is_ip6_text(text: str) -> bool:
    try:
        return isinstance(ipaddress.ip_address(text), ipaddress.IPv6Address) and "%" not in text
    except ValueError:
        return False


def _is_cidr(text: str) -> bool:
    address, slash, bits = text.partition("/")
    if not slash or not (bits.isascii() and bits.isdigit()) or len(bits) > 3:
        return False
    return int(bits) <= (128 if ":" in address else 32) and (_is_ip6_text(address) if ":" in address else _is_ipv4(address))


def _is_mac(text: str) -> bool:
    for separator in (":", "-"):
        groups = text.split(separator)
        if len(groups) in (6, 8, 20):
            return all(re.fullmatch(r"[0-9A-Fa-f]{2}", g) for g in groups)
    groups = text.split(".")
    return len(groups) in (3, 4, 10) and all(re.fullmatch(r"[0-9A-Fa-f]{4}", g) for g in groups)


def _is_hostname(text: str) -> bool:
    if len(text.encode()) > 255 or any(len(label.encode()) > 63 for label in text.split(".")):
        return False
    return compile_pattern(_ASCII_HOSTNAME if text.isascii() else _HOSTNAME).search(text) is not None


_ATOMS: Final = r"[^\s()<>\[\]:;@\\,.\"]+(\.[^\s()<>\[\]:;@\\,.\"]+)*"
_ADDRESS: Final = rf"({_ATOMS}|\"([^\"\\]|\\.)*\")@({_ATOMS}|\[[^\]\s]*\])"
_EMAIL: Final = re.compile(rf"\s*({_ADDRESS}|([^<>@,;:]*|\"([^\"\\]|\\.)*\")\s*<\s*{_ADDRESS}\s*>)\s*")


def _is_email(text: str) -> bool:
    """An address, alone or as `Name <address>`."""
    return _EMAIL.fullmatch(text) is not None


def _is_uri(text: str) -> bool:
    """An absolute URI or an absolute path, as Go's url.ParseRequestURI takes."""
    if not text or any(ord(c) < 0x20 or c == "\x7f" or c == " " for c in text):
        return False
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return False
    if re.search(r"%(?![0-9A-Fa-f]{2})", parts.path):
        return False
    return text.startswith("/") or (bool(parts.scheme) and (":" in text))


def _digits(text: str) -> str:
    return re.sub(r"[\s-]+", "", text)


def _is_isbn10(text: str) -> bool:
    digits = _digits(text)
    if not re.fullmatch(r"[0-9]{9}(X|[0-9])", digits):
        return False
    return sum((i + 1) * (10 if c == "X" else int(c)) for i, c in enumerate(digits)) % 11 == 0


def _is_isbn13(text: str) -> bool:
    digits = _digits(text)
    if not re.fullmatch(r"[0-9]{13}", digits):
        return False
    return sum(int(c) * (3 if i % 2 else 1) for i, c in enumerate(digits)) % 10 == 0


def _is_credit_card(text: str) -> bool:
    digits = re.sub(r"[^0-9]+", "", text)
    if not _CARD.fullmatch(digits):
        return False
    total = 0
    for i, c in enumerate(reversed(digits)):
        doubled = int(c) * (2 if i % 2 else 1)
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0


_HEX: Final = "[0-9a-f]"
_RGB: Final = r"(0|[1-9]\d?|1\d\d?|2[0-4]\d|25[0-5])"

_CHECKS: Final[Mapping[str, Callable[[str], bool]]] = {
    "bsonobjectid": _matcher("[0-9A-Fa-f]{24}"),
    "uri": _is_uri,
    "email": _is_email,
    "hostname": _is_hostname,
    "ipv4": _is_ipv4,
    "ipv6": _is_ip6_text,
    "cidr": _is_cidr,
    "mac": _is_mac,
    "uuid": _matcher(f"{_HEX}{{8}}-?{_HEX}{{4}}-?{_HEX}{{4}}-?{_HEX}{{4}}-?{_HEX}{{12}}", re.IGNORECASE),
    "uuid3": _matcher(f"{_HEX}{{8}}-?{_HEX}{{4}}-?3{_HEX}{{3}}-?{_HEX}{{4}}-?{_HEX}{{12}}", re.IGNORECASE),
    "uuid4": _matcher(f"{_HEX}{{8}}-?{_HEX}{{4}}-?4{_HEX}{{3}}-?[89ab]{_HEX}{{3}}-?{_HEX}{{12}}", re.IGNORECASE),
    "uuid5": _matcher(f"{_HEX}{{8}}-?{_HEX}{{4}}-?5{_HEX}{{3}}-?[89ab]{_HEX}{{3}}-?{_HEX}{{12}}", re.IGNORECASE),
    "isbn": lambda text: _is_isbn10(text) or _is_isbn13(text),
    "isbn10": _is_isbn10,
    "isbn13": _is_isbn13,
    "creditcard": _is_credit_card,
    "ssn": _matcher(r"\d{3}[- ]?\d{2}[- ]?\d{4}"),
    "hexcolor": _matcher("#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})"),
    "rgbcolor": _matcher(rf"rgb\(\s*{_RGB}\s*,\s*{_RGB}\s*,\s*{_RGB}\s*\)"),
    "byte": is_byte,
    "password": lambda _: True,
    "date": is_date,
    "duration": is_duration,
    "datetime": is_date_time,
    "k8sshortname": lambda text: len(text) <= 63 and _SHORT_NAME.fullmatch(text) is not None,
    "k8slongname": lambda text: len(text) <= 253 and _LONG_NAME.fullmatch(text) is not None,
}


def text_format(name: str) -> Callable[[str], bool] | None:
    """The check for a format of text; None where the format is not one that Kubernetes checks."""
    return _CHECKS.get(name.replace("-", ""))


def checked_format(schema_type: str, name: str) -> str:
    """The format as far as it counts for a type: others are stripped before validation."""
    if schema_type in ("", "string"):
        return name if text_format(name) else ""
    if schema_type == "integer":
        return name if name in ("int32", "int64") else ""
    if schema_type == "number":
        return name if name in ("float", "double") else ""
    return ""

"""What Kubernetes adds to CEL: quantities, named formats, semantic versions.

Source of behaviour: k8s.io/apiserver pkg/cel/library/{quantity,format,semverlib}.go.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from raysail.api.quantity import NANO, QuantityError, parse_nano
from raysail.apiserver.cel.overloads import overload, register_type
from raysail.apiserver.cel.values import MAX_INT64, MIN_INT64, CelError, Optional, TypeValue
from raysail.apiserver.schema.formats import text_format


@dataclass(frozen=True, slots=True, order=True)
class Quantity:
    """An amount in billionths."""

    nano: int
    cel_type: ClassVar[str] = "kubernetes.Quantity"


@dataclass(frozen=True, slots=True, order=True)
class Semver:
    """A semantic version; `key` orders pre-releases before their release."""

    key: tuple[int, int, int, tuple[Any, ...]]
    cel_type: ClassVar[str] = "kubernetes.Semver"


@dataclass(frozen=True, slots=True)
class NamedFormat:
    """A format by name, with the function that says what is wrong with a text."""

    name: str
    cel_type: ClassVar[str] = "kubernetes.NamedFormat"


for _name, _kind in (
    ("quantity", Quantity),
    ("semver_version", Semver),
    ("named_format", NamedFormat),
):
    register_type(_name, _kind)


# Quantities


@overload("quantity(string) quantity")
def quantity(text: str) -> Quantity:
    """Raises CelError."""
    try:
        return Quantity(parse_nano(text))
    except QuantityError as error:
        raise CelError("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'") from error


@overload("isQuantity(string) bool")
def _is_quantity(text: str) -> bool:
    try:
        parse_nano(text)
    except QuantityError:
        return False
    return True


@overload("quantity.sign() int")
@overload("sign(quantity) int")
def _sign(value: Quantity) -> int:
    return (value.nano > 0) - (value.nano < 0)


def _declare_order() -> None:
    for kind in ("quantity", "semver_version"):
        overload(f"{kind}.isGreaterThan({kind}) bool")(lambda a, b: a > b)
        overload(f"{kind}.isLessThan({kind}) bool")(lambda a, b: a < b)
        overload(f"{kind}.compareTo({kind}) int")(lambda a, b: (a > b) - (a < b))


_declare_order()


@overload("quantity.isInteger() bool")
def _is_integer(value: Quantity) -> bool:
    return value.nano % NANO == 0 and MIN_INT64 <= value.nano // NANO <= MAX_INT64


@overload("quantity.asInteger() int")
def _as_integer(value: Quantity) -> int:
    if not _is_integer(value):
        raise CelError("cannot convert value to integer")
    return value.nano // NANO


@overload("quantity.asApproximateFloat() double")
def _as_float(value: Quantity) -> float:
    return value.nano / NANO


@overload("quantity.add(quantity) quantity")
def _add(left: Quantity, right: Quantity) -> Quantity:
    return Quantity(left.nano + right.nano)


@overload("quantity.add(int) quantity")
def _add_int(left: Quantity, right: int) -> Quantity:
    return Quantity(left.nano + right * NANO)


@overload("quantity.sub(quantity) quantity")
def _sub(left: Quantity, right: Quantity) -> Quantity:
    return Quantity(left.nano - right.nano)


@overload("quantity.sub(int) quantity")
def _sub_int(left: Quantity, right: int) -> Quantity:
    return Quantity(left.nano - right * NANO)


# Named formats

_DNS_LABEL: Final = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character "
    "(e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_DNS_SUBDOMAIN: Final = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_DNS_1035: Final = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric "
    "character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
)
_LABEL_VALUE: Final = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_NAME_PART: Final = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or "
    "'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)


def _shape(pattern: str, longest: int, message: str, *, prefix: bool = False) -> Callable[[str], list[str]]:
    compiled = re.compile(pattern, re.ASCII)

    def faults(text: str) -> list[str]:
        found = [] if len(text) <= longest else [f"must be no more than {longest} bytes"]
        checked = text[:-1] + "a" if prefix and text.endswith("-") else text
        return found + ([] if compiled.fullmatch(checked) else [message])

    return faults


_LABEL: Final = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_SUBDOMAIN: Final = rf"{_LABEL}(\.{_LABEL})*"


def _qualified_name_faults(text: str) -> list[str]:
    prefix, slash, name = text.rpartition("/")
    found: list[str] = []
    if "/" in prefix:
        return [f"a qualified name {_NAME_PART.removeprefix('name part ')}"]
    if slash:
        found += ["prefix part must be non-empty"] if not prefix else [f"prefix part {m}" for m in _FORMATS["dns1123Subdomain"](prefix)]
    if not name:
        found.append("name part must be non-empty")
    elif len(name) > 63:
        found.append("name part must be no more than 63 bytes")
    if not re.fullmatch(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]", name, re.ASCII):
        found.append(_NAME_PART)
    return found


def _text_faults(name: str, message: str) -> Callable[[str], list[str]]:
    check = text_format(name)
    return lambda text: [] if check is not None and check(text) else [message]


_FORMATS: Final[dict[str, Callable[[str], list[str]]]] = {
    "dns1123Label": _shape(_LABEL, 63, _DNS_LABEL),
    "dns1123Subdomain": _shape(_SUBDOMAIN, 253, _DNS_SUBDOMAIN),
    "dns1035Label": _shape("[a-z]([-a-z0-9]*[a-z0-9])?", 63, _DNS_1035),
    "dns1123LabelPrefix": _shape(_LABEL, 63, _DNS_LABEL, prefix=True),
    "dns1123SubdomainPrefix": _shape(_SUBDOMAIN, 253, _DNS_SUBDOMAIN, prefix=True),
    "dns1035LabelPrefix": _shape("[a-z]([-a-z0-9]*[a-z0-9])?", 63, _DNS_1035, prefix=True),
    "labelValue": _shape("(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?", 63, _LABEL_VALUE),
    "qualifiedName": _qualified_name_faults,
    "uri": _text_faults("uri", "invalid URI"),
    "uuid": _text_faults("uuid", "does not match the UUID format"),
    "byte": _text_faults("byte", "invalid base64"),
    "date": _text_faults("date", "invalid date"),
    "datetime": _text_faults("datetime", "invalid datetime"),
}


def _declare_formats() -> None:
    for name in _FORMATS:
        overload(f"format.{name}() named_format")(lambda found=NamedFormat(name): found)


_declare_formats()


@overload("format.named(string) optional(named_format)")
def _named(name: str) -> Optional:
    return Optional(True, NamedFormat(name)) if name in _FORMATS else Optional(False)


@overload("named_format.validate(string) optional(list(string))")
def _validate(value: NamedFormat, text: str) -> Optional:
    faults = _FORMATS[value.name](text)
    return Optional(True, faults) if faults else Optional(False)


# Semantic versions

_VERSION: Final = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-((?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*))?"
    r"(?:\+([0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*))?",
    re.ASCII,
)


def _parse_semver(text: str, *, normalize: bool = False) -> Semver | None:
    if normalize:
        core = re.split(r"[+-]", text, maxsplit=1)[0]
        sign, rest = text[len(core) : len(core) + 1], text[len(core) + 1 :]
        core = core.removeprefix("v")
        numbers = [part.lstrip("0") or ("0" if part else "") for part in core.split(".")]
        text = ".".join([*numbers, "0", "0"][: max(3, len(numbers))]) + sign + rest
    found = _VERSION.fullmatch(text)
    if found is None:
        return None
    parts: tuple[Any, ...] = ((2,),)
    if found[4] is not None:
        parts = tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in found[4].split("."))
    return Semver((int(found[1]), int(found[2]), int(found[3]), parts))


@overload("semver(string) semver_version")
def _semver(text: str) -> Semver:
    found = _parse_semver(text)
    if found is None:
        raise CelError(f"invalid semantic version: {text}")
    return found


@overload("semver(string, bool) semver_version")
def _semver_normalized(text: str, normalize: bool) -> Semver:
    found = _parse_semver(text, normalize=normalize)
    if found is None:
        raise CelError(f"invalid semantic version: {text}")
    return found


@overload("isSemver(string) bool")
def _is_semver(text: str) -> bool:
    return _parse_semver(text) is not None


@overload("isSemver(string, bool) bool")
def _is_semver_normalized(text: str, normalize: bool) -> bool:
    return _parse_semver(text, normalize=normalize) is not None


def _declare_parts() -> None:
    for index, name in enumerate(("major", "minor", "patch")):
        overload(f"semver_version.{name}() int")(lambda value, i=index: value.key[i])


_declare_parts()

TYPE_NAMES: Final = {
    kind: TypeValue(kind)
    for kind in (
        *("bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type", "type", "google.protobuf.Timestamp"),
        *("google.protobuf.Duration", "optional_type", "kubernetes.Quantity", "kubernetes.URL", "net.IP", "net.CIDR", "kubernetes.Semver"),
    )
}
"""Types that an expression may name."""

"""What Kubernetes adds to CEL: quantities, URLs, IP addresses and ranges, named formats, semantic versions.

Source of behaviour: k8s.io/apiserver pkg/cel/library/{quantity,urls,ip,cidr,format,semverlib}.go.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final
from urllib.parse import SplitResult, parse_qs, urlsplit

from raysail.api.quantity import NANO, QuantityError, parse_nano
from raysail.apiserver.cel.overloads import overload, register_type
from raysail.apiserver.cel.values import MAX_INT64, MIN_INT64, CelError, Optional, TypeValue
from raysail.apiserver.schema.formats import text_format

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True, order=True)
class Quantity:
    """An amount in billionths."""

    nano: int
    cel_type: ClassVar[str] = "kubernetes.Quantity"


@dataclass(frozen=True, slots=True)
class Url:
    """A parsed URL: absolute, or an absolute path."""

    text: str
    parts: SplitResult
    cel_type: ClassVar[str] = "kubernetes.URL"


@dataclass(frozen=True, slots=True)
class Ip:
    """An IP address."""

    address: Address
    cel_type: ClassVar[str] = "net.IP"


@dataclass(frozen=True, slots=True)
class Cidr:
    """An address with the length of its prefix; the address may have bits beyond it."""

    address: Address
    bits: int
    cel_type: ClassVar[str] = "net.CIDR"

    def network(self) -> Network:
        """The range."""
        return ipaddress.ip_network((self.address, self.bits), strict=False)


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
    ("url", Url),
    ("ip_address", Ip),
    ("cidr_range", Cidr),
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


# URLs


def _parse_url(text: str) -> SplitResult | None:
    if not text or any(ord(c) < 0x20 or c == "\x7f" for c in text):
        return None
    try:
        parts = urlsplit(text)
        _ = parts.port
    except ValueError:
        return None
    if " " in parts.netloc or re.search(r"%(?![0-9A-Fa-f]{2})", parts.path):
        return None
    absolute = bool(parts.scheme) and ":" in text
    return parts if absolute or text.startswith("/") else None


@overload("url(string) url")
def _url(text: str) -> Url:
    parts = _parse_url(text)
    if parts is None:
        raise CelError(f'URL parse error during conversion from string: parse "{text}": invalid URI for request')
    return Url(text, parts)


@overload("isURL(string) bool")
def _is_url(text: str) -> bool:
    return _parse_url(text) is not None


@overload("url.getScheme() string")
def _scheme(value: Url) -> str:
    return value.parts.scheme


@overload("url.getHost() string")
def _host(value: Url) -> str:
    return value.parts.netloc.rpartition("@")[2]


@overload("url.getHostname() string")
def _hostname(value: Url) -> str:
    host = _host(value)
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.rpartition(":")[0] if ":" in host else host


@overload("url.getPort() string")
def _port(value: Url) -> str:
    host = _host(value)
    rest = host.partition("]")[2] if host.startswith("[") else host
    return rest.rpartition(":")[2] if ":" in rest else ""


@overload("url.getEscapedPath() string")
def _path(value: Url) -> str:
    path = value.parts.path
    return re.sub(r"[^A-Za-z0-9\-._~!$&'()*+,;=:@/%\[\]]", lambda m: "".join(f"%{b:02X}" for b in m[0].encode()), path)


@overload("url.getQuery() map(string, list(string))")
def _query(value: Url) -> dict[str, list[str]]:
    return parse_qs(value.parts.query, keep_blank_values=True)


# IP addresses and ranges


def _address(text: str) -> Address | None:
    if "%" in text:
        return None
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    return None if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None else found


@overload("ip(string) ip_address")
def _ip(text: str) -> Ip:
    found = _address(text)
    if found is None:
        raise CelError(f'IP Address "{text}" parse error during conversion from string')
    return Ip(found)


@overload("isIP(string) bool")
def _is_ip(text: str) -> bool:
    return _address(text) is not None


@overload("ip.isCanonical(string) bool")
def _is_canonical(text: str) -> bool:
    return str(_ip(text).address) == text


@overload("ip_address.family() int")
def _family(value: Ip) -> int:
    return value.address.version


@overload("ip_address.isUnspecified() bool")
def _is_unspecified(value: Ip) -> bool:
    return value.address.is_unspecified


@overload("ip_address.isLoopback() bool")
def _is_loopback(value: Ip) -> bool:
    return value.address.is_loopback


@overload("ip_address.isLinkLocalMulticast() bool")
def _is_link_local_multicast(value: Ip) -> bool:
    if value.address.version == 4:
        return value.address in ipaddress.ip_network("224.0.0.0/24")
    return value.address.packed[0] == 0xFF and value.address.packed[1] & 0x0F == 0x02


@overload("ip_address.isLinkLocalUnicast() bool")
def _is_link_local_unicast(value: Ip) -> bool:
    return value.address.is_link_local


@overload("ip_address.isGlobalUnicast() bool")
def _is_global_unicast(value: Ip) -> bool:
    address = value.address
    broadcast = address.version == 4 and address.packed == b"\xff\xff\xff\xff"
    return not (broadcast or address.is_unspecified or address.is_loopback or address.is_multicast or address.is_link_local)


@overload("string(ip_address) string")
def _ip_text(value: Ip) -> str:
    return str(value.address)


def _parse_cidr(text: str) -> Cidr | None:
    address_text, slash, bits = text.partition("/")
    address = _address(address_text)
    if address is None or not slash or not re.fullmatch(r"0|[1-9]\d{0,2}", bits, re.ASCII) or int(bits) > address.max_prefixlen:
        return None
    return Cidr(address, int(bits))


@overload("cidr(string) cidr_range")
def _cidr(text: str) -> Cidr:
    found = _parse_cidr(text)
    if found is None:
        raise CelError(f'network address parse error during conversion from string: netip.ParsePrefix("{text}")')
    return found


@overload("isCIDR(string) bool")
def _is_cidr(text: str) -> bool:
    return _parse_cidr(text) is not None


@overload("cidr_range.containsIP(ip_address) bool")
def _contains_ip(value: Cidr, address: Ip) -> bool:
    return value.address.version == address.address.version and address.address in value.network()


@overload("cidr_range.containsIP(string) bool")
def _contains_ip_text(value: Cidr, text: str) -> bool:
    return _contains_ip(value, _ip(text))


@overload("cidr_range.containsCIDR(cidr_range) bool")
def _contains_cidr(value: Cidr, other: Cidr) -> bool:
    return value.address.version == other.address.version and other.bits >= value.bits and other.address in value.network()


@overload("cidr_range.containsCIDR(string) bool")
def _contains_cidr_text(value: Cidr, text: str) -> bool:
    return _contains_cidr(value, _cidr(text))


@overload("cidr_range.ip() ip_address")
def _cidr_ip(value: Cidr) -> Ip:
    return Ip(value.address)


@overload("cidr_range.masked() cidr_range")
def _masked(value: Cidr) -> Cidr:
    return Cidr(value.network().network_address, value.bits)


@overload("cidr_range.prefixLength() int")
def _prefix_length(value: Cidr) -> int:
    return value.bits


@overload("string(cidr_range) string")
def _cidr_text(value: Cidr) -> str:
    return f"{value.address}/{value.bits}"


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

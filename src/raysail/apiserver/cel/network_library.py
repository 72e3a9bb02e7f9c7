"""URLs, IP addresses and ranges in CEL.

Source of behaviour: k8s.io/apiserver pkg/cel/library/{urls,ip,cidr}.go.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import SplitResult, parse_qs, urlsplit

from raysail.apiserver.cel.overloads import overload, register_type
from raysail.apiserver.cel.values import CelError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


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


for _name, _kind in (("url", Url), ("ip_address", Ip), ("cidr_range", Cidr)):
    register_type(_name, _kind)


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

"""Checks that many kinds share: numbers, names, references, selectors, addresses.

Each appends the faults it finds. Texts: k8s.io/apimachinery pkg/util/validation and pkg/apis/meta/v1/validation; pkg/apis/core/validation.
`at` is the path of the value, e.g. `spec.ports[0].name`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from raysail.api.causes import forbidden, invalid, not_supported, required, too_long
from raysail.api.errors import Cause
from raysail.api.names import label_key_faults, label_value_faults
from raysail.api.quantity import parse_nano
from raysail.apiserver.rest.names import label_faults, subdomain_faults

JsonMap = Mapping[str, Any]
Faults = list[Cause]

MAX_INT32: Final = 2**31 - 1
IMMUTABLE: Final = "field is immutable"
NEGATIVE: Final = "must be greater than or equal to 0"
NOT_INTEGER: Final = "must be an integer"
FILE_MODE: Final = "must be a number between 0 and 0777 (octal), both inclusive"
PROTOCOLS: Final = ("SCTP", "TCP", "UDP")

_PORT_NAME: Final = re.compile(r"[-a-z0-9]+", re.ASCII)
_CONFIG_KEY: Final = re.compile(r"[-._a-zA-Z0-9]+", re.ASCII)
_DNS1035: Final = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?", re.ASCII)
_HTTP_HEADER: Final = re.compile(r"[-A-Za-z0-9]+", re.ASCII)
_DNS1035_RULE: Final = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric"
    " character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
)
_CONFIG_KEY_RULE: Final = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for"
    " validation is '[-._a-zA-Z0-9]+')"
)
_ENVIRONMENT_RULE: Final = "a valid environment variable name must consist only of printable ASCII characters other than '='"
_HEADER_RULE: Final = "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')"


def each(faults: Faults, at: str, value: Any, texts: Iterable[str]) -> None:
    """One `invalid` for each text."""
    faults.extend(invalid(at, value, text) for text in texts)


def between(low: int, high: int) -> str:
    """The text for a number outside its range."""
    return f"must be between {low} and {high}, inclusive"


def check_nonnegative(value: int | None, at: str, faults: Faults) -> None:
    """A number that may not be negative; None passes."""
    if value is not None and value < 0:
        faults.append(invalid(at, value, NEGATIVE))


def check_positive(value: int | None, at: str, faults: Faults) -> None:
    """A number that must be greater than 0; None passes."""
    if value is not None and value <= 0:
        faults.append(invalid(at, value, "must be greater than 0"))


def check_range(value: int | None, low: int, high: int, at: str, faults: Faults) -> None:
    """A number between two others, both included; None passes."""
    if value is not None and not low <= value <= high:
        faults.append(invalid(at, value, between(low, high)))


def check_mode(value: int | None, at: str, faults: Faults) -> None:
    """File permissions."""
    if value is not None and not 0 <= value <= 0o777:
        faults.append(invalid(at, value, FILE_MODE))


def check_choice(value: Any, choices: Collection[str], at: str, faults: Faults, *, needed: bool = True) -> None:
    """One of a few words. An empty one is missing if it is needed, else it passes."""
    if not value:
        if needed:
            faults.append(required(at))
    elif value not in choices:
        faults.append(not_supported(at, value, choices))


def check_immutable(new: Any, old: Any, at: str, faults: Faults) -> None:
    """A value that may not change."""
    if new != old:
        faults.append(invalid(at, new, IMMUTABLE))


# Names.


def check_label(value: str, at: str, faults: Faults) -> None:
    """RFC 1123 label."""
    each(faults, at, value, label_faults(value))


def check_subdomain(value: str, at: str, faults: Faults) -> None:
    """RFC 1123 subdomain."""
    each(faults, at, value, subdomain_faults(value))


def dns1035_faults(value: str) -> list[str]:
    """RFC 1035 label."""
    faults = [] if len(value) <= 63 else ["must be no more than 63 characters"]
    return faults + ([] if _DNS1035.fullmatch(value) else [_DNS1035_RULE])


def check_qualified_name(value: str, at: str, faults: Faults) -> None:
    """`[prefix/]name`."""
    each(faults, at, value, label_key_faults(value))


def check_name_needed(obj: JsonMap, name: str, at: str, faults: Faults) -> None:
    """A text that must be there."""
    if not obj.get(name):
        faults.append(required(f"{at}.{name}"))


def port_name_faults(name: str) -> list[str]:
    """IANA service name."""
    faults = []
    if len(name) > 15:
        faults.append("must be no more than 15 characters")
    if not _PORT_NAME.fullmatch(name):
        faults.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not any(c.isalpha() for c in name):
        faults.append("must contain at least one letter (a-z)")
    if "--" in name:
        faults.append("must not contain consecutive hyphens")
    if name.startswith("-") or name.endswith("-"):
        faults.append("must not begin or end with a hyphen")
    return faults


def check_port_number(port: int, at: str, faults: Faults) -> None:
    """1 to 65535."""
    if not 1 <= port <= 65535:
        faults.append(invalid(at, port, between(1, 65535)))


def check_port(port: Any, at: str, faults: Faults) -> None:
    """A port's number or name."""
    if isinstance(port, int):
        check_port_number(port, at, faults)
    else:
        each(faults, at, port or "", port_name_faults(port or ""))


def environment_name_faults(name: str) -> list[str]:
    """The name of an environment variable: printable, without `=`."""
    if name and all(" " <= c <= "~" and c != "=" for c in name):
        return []
    return [_ENVIRONMENT_RULE]


def config_key_faults(key: str) -> list[str]:
    """A key of a ConfigMap or Secret."""
    faults = [] if len(key) <= 253 else ["must be no more than 253 characters"]
    if not _CONFIG_KEY.fullmatch(key):
        faults.append(_CONFIG_KEY_RULE)
    if key in (".", ".."):
        faults.append(f"must not be '{key}'")
    elif key.startswith(".."):
        faults.append("must not start with '..'")
    return faults


def check_http_header(name: str, at: str, faults: Faults) -> None:
    """The name of an HTTP header."""
    if not _HTTP_HEADER.fullmatch(name):
        faults.append(invalid(at, name, _HEADER_RULE))


def check_local_path(path: str, at: str, faults: Faults) -> None:
    """A path inside a volume: relative and without `..`."""
    if path.startswith("/"):
        faults.append(invalid(at, path, "must be a relative path"))
    check_no_backsteps(path, at, faults)


def check_no_backsteps(path: str, at: str, faults: Faults) -> None:
    """A path that does not lead up."""
    if ".." in path.split("/"):
        faults.append(invalid(at, path, "must not contain '..'"))


def check_local_unreserved_path(path: str, at: str, faults: Faults) -> None:
    """A path inside a volume that does not start like the volume's own files."""
    check_local_path(path, at, faults)
    if path.startswith("..") and not path.startswith("../"):
        faults.append(invalid(at, path, "must not start with '..'"))


# Labels and selectors.


def check_labels(labels: JsonMap | None, at: str, faults: Faults) -> None:
    """Keys and values."""
    for key, value in (labels or {}).items():
        each(faults, at, key, label_key_faults(key))
        each(faults, at, value, label_value_faults(value))


def check_annotations(annotations: JsonMap | None, at: str, faults: Faults) -> None:
    """Keys, and the size of all together."""
    size = 0
    for key, value in (annotations or {}).items():
        each(faults, at, key, label_key_faults(key.lower()))
        size += len(key.encode()) + len(value.encode())
    if size > 256 * 1024:
        faults.append(too_long(at, 256 * 1024))


def check_selector(selector: JsonMap | None, at: str, faults: Faults) -> None:
    """A LabelSelector; None passes."""
    for index, requirement in enumerate((selector or {}).get("matchExpressions") or ()):
        here = f"{at}.matchExpressions[{index}]"
        operator, values = requirement.get("operator", ""), requirement.get("values") or []
        if operator in ("In", "NotIn"):
            if not values:
                faults.append(required(f"{here}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                faults.append(forbidden(f"{here}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"))
        else:
            faults.append(invalid(f"{here}.operator", operator, "not a valid selector operator"))
        check_qualified_name(requirement.get("key", ""), f"{here}.key", faults)
        for place, value in enumerate(values):
            each(faults, f"{here}.values[{place}]", value, label_value_faults(value))
    check_labels((selector or {}).get("matchLabels"), f"{at}.matchLabels", faults)


def is_empty_selector(selector: JsonMap | None) -> bool:
    """Whether it selects everything."""
    return not (selector or {}).get("matchLabels") and not (selector or {}).get("matchExpressions")


def selects(selector: JsonMap | None, labels: JsonMap | None) -> bool:
    """Whether a LabelSelector matches labels; a missing one matches nothing, requirements that are none never match."""
    if selector is None:
        return False
    have = labels or {}
    if any(have.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    for requirement in selector.get("matchExpressions") or ():
        key, operator, values = requirement.get("key"), requirement.get("operator"), requirement.get("values") or ()
        matches = {
            "In": have.get(key) in values,
            "NotIn": have.get(key) not in values,
            "Exists": key in have,
            "DoesNotExist": key not in have,
        }.get(operator, False)
        if not matches:
            return False
    return True


# Quantities.


def check_nonnegative_quantity(value: Any, at: str, faults: Faults) -> None:
    """A quantity that may not be negative."""
    if parse_nano(value) < 0:
        faults.append(invalid(at, value, NEGATIVE))


def percent_or_number(value: Any) -> tuple[bool, int | None]:
    """Whether a value is text, and its number: that of `25%`, or None for text that is no percentage."""
    if isinstance(value, int):
        return False, value
    match = re.fullmatch(r"([0-9]+)%", value or "", re.ASCII)
    return True, int(match[1]) if match else None


def check_percent_or_nonnegative(value: Any, at: str, faults: Faults) -> None:
    """An int-or-percent."""
    is_text, number = percent_or_number(value)
    if is_text and number is None:
        faults.append(
            invalid(
                at,
                value,
                "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is"
                " '[0-9]+%')",
            )
        )
    elif not is_text:
        check_nonnegative(number, at, faults)


def check_not_more_than_all(value: Any, at: str, faults: Faults) -> None:
    """A percentage of at most 100."""
    is_text, number = percent_or_number(value)
    if is_text and number is not None and number > 100:
        faults.append(invalid(at, value, "must not be greater than 100%"))


# Addresses.


def ip_faults(value: str) -> list[str]:
    """An IPv4 or IPv6 address, written without leading zeros."""
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]
    if isinstance(address, ipaddress.IPv6Address) and (address.ipv4_mapped or address.scope_id):
        return (
            ["must not be an IPv4-mapped IPv6 address"]
            if address.ipv4_mapped
            else ["must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"]
        )
    return []


def check_ip(value: str, at: str, faults: Faults) -> None:
    """An address."""
    each(faults, at, value, ip_faults(value))


def check_cidr(value: str, at: str, faults: Faults) -> bool:
    """An address range. Whether it is one."""
    try:
        network = ipaddress.ip_network(value, strict=False)
    except ValueError:
        network = None
    if network is None or "/" not in value:
        faults.append(invalid(at, value, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"))
        return False
    if str(network) != value and ipaddress.ip_interface(value).ip != network.network_address:
        text = f'must not have bits set beyond the prefix length (consider using "{network}")'
        faults.append(invalid(at, value, text))
    return True


def check_endpoint_ip(value: str, at: str, faults: Faults, *, loopback: bool = False) -> None:
    """An address that may stand behind a Service: not link-local or multicast, and not this machine's own unless `loopback`."""
    texts = ip_faults(value)
    each(faults, at, value, texts)
    if texts:
        return
    address = ipaddress.ip_address(value)
    if address.is_unspecified:
        faults.append(invalid(at, value, f"may not be unspecified ({value})"))
    if address.is_loopback and not loopback:
        faults.append(invalid(at, value, "may not be in the loopback range (127.0.0.0/8, ::1/128)"))
    if address.is_link_local:
        faults.append(invalid(at, value, "may not be in the link-local range (169.254.0.0/16, fe80::/10)"))
    if address.is_multicast and (int(address) >> 8 == 0xE00000 or str(address).startswith("ff02")):
        faults.append(invalid(at, value, "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"))

"""Which names a kind allows, and generated ones (k8s.io/apimachinery pkg/api/validation, pkg/registry/*/strategy.go)."""

from __future__ import annotations

import random
import re
from typing import Final

_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIX_LENGTH: Final = 5
_LONGEST_BASE: Final = 58
_random: Final = random.Random()  # noqa: S311 - names, see below
_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", re.ASCII)
_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", re.ASCII)
_QUALIFIED_NAME: Final = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]", re.ASCII)
_LABEL_VALUE: Final = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?", re.ASCII)

_LABEL_TEXT: Final = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character"
    " (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_SUBDOMAIN_TEXT: Final = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric"
    " character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_QUALIFIED_TEXT: Final = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
    " (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_VALUE_TEXT: Final = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric"
    " character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)

# Kinds whose names are labels, or any path segment; all others are subdomains.
_LABELS: Final = {("", "Namespace"), ("", "Service"), ("apps", "StatefulSet")}
_SEGMENTS: Final = {
    ("rbac.authorization.k8s.io", "Role"),
    ("rbac.authorization.k8s.io", "RoleBinding"),
    ("rbac.authorization.k8s.io", "ClusterRole"),
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
    ("", "Event"),
    ("events.k8s.io", "Event"),
    ("apiregistration.k8s.io", "APIService"),
    ("networking.k8s.io", "IPAddress"),
}


def generate_name(prefix: str) -> str:
    """The prefix, cut to fit, and five random characters (k8s.io/apiserver pkg/storage/names)."""
    return prefix[:_LONGEST_BASE] + name_suffix()


def name_suffix() -> str:
    """Five random characters without vowels. A name is no secret: a generator in memory does, and costs no system call."""
    return "".join(_random.choices(_ALPHABET, k=_SUFFIX_LENGTH))


def name_faults(group: str, kind: str, name: str, *, prefix: bool = False) -> list[str]:
    """What is wrong with the name of such an object. A `prefix` (generateName) may end in what only stands inside names."""
    if prefix and name.endswith("-"):
        name = name[:-1] + "a"
    if (group, kind) in _SEGMENTS:
        return segment_faults(name)
    if (group, kind) in _LABELS:
        return label_faults(name)
    return subdomain_faults(name)


def segment_faults(name: str) -> list[str]:
    """What no name may be, since it stands in a path."""
    if name in (".", ".."):
        return [f"may not be '{name}'"]
    return [f"may not contain '{part}'" for part in ("/", "%") if part in name]


def label_faults(name: str) -> list[str]:
    """RFC 1123 label."""
    faults = [] if len(name) <= 63 else ["must be no more than 63 characters"]
    if not _LABEL.fullmatch(name):
        faults.append("must not contain dots" if _SUBDOMAIN.fullmatch(name) else _LABEL_TEXT)
    return faults


def subdomain_faults(name: str, unit: str = "characters") -> list[str]:
    """RFC 1123 subdomain. `unit` is the word for what there is too much of: Kubernetes has two."""
    faults = [] if len(name) <= 253 else [f"must be no more than 253 {unit}"]
    return faults + ([] if _SUBDOMAIN.fullmatch(name) else [_SUBDOMAIN_TEXT])


def qualified_name_faults(name: str) -> list[str]:
    """`[prefix/]name` of labels, annotations and finalizers."""
    prefix, slash, rest = name.rpartition("/")
    faults: list[str] = []
    if slash:
        if "/" in prefix:
            rule = _QUALIFIED_TEXT.removeprefix("name part ")
            return [f"a valid label key {rule} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"]
        if not prefix:
            faults.append("prefix part must be non-empty")
        else:
            faults += [f"prefix part {fault}" for fault in subdomain_faults(prefix, "bytes")]
    if not rest:
        faults.append("name part must be non-empty")
    elif len(rest) > 63:
        faults.append("name part must be no more than 63 bytes")
    if not _QUALIFIED_NAME.fullmatch(rest):
        faults.append(_QUALIFIED_TEXT)
    return faults


def label_value_faults(value: str) -> list[str]:
    """A label's value."""
    faults = [] if len(value) <= 63 else ["must be no more than 63 bytes"]
    return faults + ([] if _LABEL_VALUE.fullmatch(value) else [_VALUE_TEXT])

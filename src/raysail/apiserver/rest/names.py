"""Which names a kind allows, and generated ones (k8s.io/apimachinery pkg/api/validation, pkg/registry/*/strategy.go)."""

from __future__ import annotations

import random
from typing import Final

from raysail.api import names

_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIX_LENGTH: Final = 5
_LONGEST_BASE: Final = 58
_UNIT: Final = "characters"
_random: Final = random.Random()  # noqa: S311 - names, see below

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
    """RFC 1123 label, in the words of the rules for names and fields."""
    faults = names.label_faults(name, _UNIT)
    if faults and "." in name and names.SUBDOMAIN.fullmatch(name):
        faults[-1] = "must not contain dots"
    return faults


def subdomain_faults(name: str) -> list[str]:
    """RFC 1123 subdomain, in the words of the rules for names and fields."""
    return names.subdomain_faults(name, _UNIT)

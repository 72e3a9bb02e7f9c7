"""The refusal, and the checks of names and labels that every kind shares (k8s.io/apimachinery/pkg/util/validation)."""

from __future__ import annotations

import re
from typing import Final

_DNS_1035: Final = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_DNS_1123: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_NAME_PART: Final = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_LABEL_LENGTH: Final = 63


class InvalidError(ValueError):
    """The object cannot be worked on as it is. The text names the field and the rule."""


def check_name(kind: str, name: str, longest: int, *, prefix: str = "") -> None:
    """A name that leaves room for what is derived from it, and is a DNS-1035 label, since Services are named after it."""
    if len(name) > longest:
        raise InvalidError(f"{prefix}{kind} name should be no more than {longest} characters")
    if not _DNS_1035.fullmatch(name):
        rule = (
            "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
            "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
        )
        raise InvalidError(f"{prefix}{kind} name should be a valid DNS1035 label: [{rule}]")


def is_dns_1123_label(text: str) -> bool:
    """Whether the text may be a part of a name of most kinds."""
    return len(text) <= _LABEL_LENGTH and _DNS_1123.fullmatch(text) is not None


def is_label_key(text: str) -> bool:
    """Whether the text may be a label's key: `prefix/name` or `name`."""
    prefix, slash, name = text.rpartition("/")
    if slash and (len(prefix) > 253 or not _SUBDOMAIN.fullmatch(prefix)):
        return False
    return len(name) <= _LABEL_LENGTH and _NAME_PART.fullmatch(name) is not None


def is_label_value(text: str) -> bool:
    """Whether the text may be a label's value."""
    return text == "" or (len(text) <= _LABEL_LENGTH and _NAME_PART.fullmatch(text) is not None)

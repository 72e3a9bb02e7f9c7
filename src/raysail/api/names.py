"""What is wrong with names, keys and values, in Kubernetes' words (k8s.io/apimachinery pkg/api/validate/content, pkg/util/validation).

Each function returns the faults as text; none means the value is fine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from raysail.api import causes
from raysail.api.errors import Cause

_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", re.ASCII)
_LABEL_1035: Final = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?", re.ASCII)
SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", re.ASCII)
_LABEL_KEY: Final = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]", re.ASCII)
_LABEL_VALUE: Final = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?", re.ASCII)
_HTTP_PATH: Final = re.compile(r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+", re.ASCII)
_CONDITION_REASON: Final = re.compile(r"[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?", re.ASCII)

_SUBDOMAIN_TEXT: Final = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_LABEL_TEXT: Final = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character "
    "(e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_LABEL_1035_TEXT: Final = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric "
    "character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
)
_KEY_RULE: Final = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character"
_KEY_TEXT: Final = (
    f"{_KEY_RULE} (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_VALUE_TEXT: Final = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_REASON_TEXT: Final = (
    "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must end "
    "with an alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  or 'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex "
    "used for validation is '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')"
)
MAX_LABEL: Final = 63
MAX_SUBDOMAIN: Final = 253
MAX_ANNOTATIONS_BYTES: Final = 256 * 1024


def _too_long(text: str, maximum: int, unit: str = "bytes") -> list[str]:
    return [f"must be no more than {maximum} {unit}"] if len(text) > maximum else []


def subdomain_faults(text: str, unit: str = "bytes") -> list[str]:
    """RFC 1123 subdomain, as most names are. `unit` is the word for what there is too much of: Kubernetes has two."""
    return _too_long(text, MAX_SUBDOMAIN, unit) + ([] if SUBDOMAIN.fullmatch(text) else [_SUBDOMAIN_TEXT])


def label_faults(text: str, unit: str = "bytes") -> list[str]:
    """RFC 1123 label, as names of Namespaces are."""
    return _too_long(text, MAX_LABEL, unit) + ([] if _LABEL.fullmatch(text) else [_LABEL_TEXT])


def label_1035_faults(text: str) -> list[str]:
    """RFC 1035 label, as names of Services and of KubeRay's objects are."""
    return _too_long(text, MAX_LABEL) + ([] if _LABEL_1035.fullmatch(text) else [_LABEL_1035_TEXT])


def label_key_faults(key: str) -> list[str]:
    """`[prefix/]name` of labels, annotations, taints and resources."""
    parts = key.split("/")
    if len(parts) > 2:
        return [f"a valid label key {_KEY_TEXT} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"]
    faults: list[str] = []
    if len(parts) == 2:
        faults += [f"prefix part {fault}" for fault in (subdomain_faults(parts[0]) if parts[0] else ["must be non-empty"])]
    name = parts[-1]
    if not name:
        faults.append("name part must be non-empty")
    faults += [f"name part {fault}" for fault in _too_long(name, MAX_LABEL)]
    return faults if _LABEL_KEY.fullmatch(name) else [*faults, f"name part {_KEY_TEXT}"]


def label_value_faults(value: str) -> list[str]:
    """A label's value."""
    return _too_long(value, MAX_LABEL) + ([] if _LABEL_VALUE.fullmatch(value) else [_VALUE_TEXT])


def label_key_causes(key: str, field: str) -> list[Cause]:
    """The same as causes at that field."""
    return [causes.invalid(field, key, fault) for fault in label_key_faults(key)]


def labels_causes(labels: Mapping[str, str] | None, field: str) -> list[Cause]:
    """Faults of keys and values of labels."""
    found: list[Cause] = []
    for key, value in (labels or {}).items():
        found += label_key_causes(key, field)
        found += [causes.invalid(field, value, fault) for fault in label_value_faults(value)]
    return found


def annotations_causes(annotations: Mapping[str, str] | None, field: str) -> list[Cause]:
    """Faults of keys of annotations, and of their size. Case does not matter in keys."""
    annotations = annotations or {}
    found = [causes.invalid(field, key, fault) for key in annotations for fault in label_key_faults(key.lower())]
    if sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items()) > MAX_ANNOTATIONS_BYTES:
        found.append(causes.too_long(field, MAX_ANNOTATIONS_BYTES))
    return found


def label_selector_causes(selector: Mapping[str, Any] | None, field: str) -> list[Cause]:
    """Faults of a label selector object."""
    if selector is None:
        return []
    found = labels_causes(selector.get("matchLabels"), f"{field}.matchLabels")
    for at, expression in enumerate(selector.get("matchExpressions") or ()):
        path = f"{field}.matchExpressions[{at}]"
        operator, values = expression.get("operator", ""), expression.get("values") or []
        if operator in ("In", "NotIn"):
            if not values:
                found.append(causes.required(f"{path}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                found.append(causes.forbidden(f"{path}.values", "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"))
        else:
            found.append(causes.invalid(f"{path}.operator", operator, "not a valid selector operator"))
        found += label_key_causes(expression.get("key", ""), f"{path}.key")
        for index, value in enumerate(values):
            found += [causes.invalid(f"{path}.values[{index}]", value, fault) for fault in label_value_faults(value)]
    return found


def domain_prefixed_path_causes(text: str, field: str) -> list[Cause]:
    """`acme.io/foo`: a domain and a path."""
    if not text:
        return [causes.required(field)]
    host, _, path = text.partition("/")
    if not host or not path:
        return [causes.invalid(field, text, 'must be a domain-prefixed path (such as "acme.io/foo")')]
    found = [causes.invalid(field, host, fault) for fault in subdomain_faults(host)]
    if not _HTTP_PATH.fullmatch(path):
        found.append(causes.invalid(field, path, f"Invalid path (regex used for validation is '{_HTTP_PATH.pattern}')"))
    return found


def conditions_causes(conditions: list[dict[str, Any]] | None, field: str) -> list[Cause]:
    """Faults of status.conditions (metav1.ValidateConditions)."""
    found: list[Cause] = []
    seen: set[str] = set()
    for at, condition in enumerate(conditions or ()):
        path, type_ = f"{field}[{at}]", condition.get("type", "")
        if type_ in seen:
            found.append(causes.duplicate(f"{path}.type", type_))
        seen.add(type_)
        found += label_key_causes(type_, f"{path}.type")
        if condition.get("status", "") not in ("True", "False", "Unknown"):
            found.append(causes.not_supported(f"{path}.status", condition.get("status", ""), ("False", "True", "Unknown")))
        if (condition.get("observedGeneration") or 0) < 0:
            found.append(
                causes.invalid(f"{path}.observedGeneration", condition["observedGeneration"], "must be greater than or equal to zero")
            )
        if not condition.get("lastTransitionTime"):
            found.append(causes.required(f"{path}.lastTransitionTime"))
        reason = condition.get("reason", "")
        if not reason:
            found.append(causes.required(f"{path}.reason"))
        elif not _CONDITION_REASON.fullmatch(reason):
            found.append(causes.invalid(f"{path}.reason", reason, _REASON_TEXT))
        if len(reason) > 1024:
            found.append(causes.too_long(f"{path}.reason", 1024))
        if len(condition.get("message", "")) > 32768:
            found.append(causes.too_long(f"{path}.message", 32768))
    return found

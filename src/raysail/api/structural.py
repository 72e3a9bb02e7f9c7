"""What a view's field says about its schema: description, bounds, defaults, list semantics, rules.

Views are made for reading and check nothing. What the API checks stands beside the field as `Annotated[type, Field(...)]`; `api.crds` turns both
into a structural schema. Nothing of this costs anything at import: annotations stay text until a CRD is made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final, NamedTuple


class Rule(NamedTuple):
    """A CEL rule (x-kubernetes-validations) and what is said when it does not hold."""

    rule: str
    message: str


class _Unset:
    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = _Unset()


@dataclass(frozen=True, slots=True)
class Field:
    """Facts about a field, an item of a list or a value of a map. `required` and `versions` may name versions of the kind; none means all."""

    description: str = ""
    required: bool | tuple[str, ...] = False
    default: Any = UNSET
    enum: tuple[str, ...] = ()
    pattern: str = ""
    format: str = ""
    min_length: int | None = None
    max_length: int | None = None
    minimum: int | None = None
    maximum: int | None = None
    min_items: int | None = None
    max_items: int | None = None
    max_properties: int | None = None
    list_type: str = ""
    list_map_keys: tuple[str, ...] = ()
    map_type: str = ""
    rules: tuple[Rule, ...] = ()
    nullable: bool = False
    builtin: str = ""
    """Name of a Kubernetes definition that this value is, e.g. `io.k8s.api.core.v1.PodTemplateSpec`."""
    versions: tuple[str, ...] = ()
    bounds_in: tuple[str, ...] = ()
    """Versions that check the bounds (lengths, ranges, pattern, enum) of this field; none means all."""


DNS_SUBDOMAIN: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
DNS_LABEL: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
QUALIFIED_NAME: Final = r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$"

Int64 = Annotated[int, Field(format="int64")]
Time = Annotated[str, Field(format="date-time")]
"""RFC 3339 text."""
PodTemplate = Annotated[dict[str, Any], Field(builtin="io.k8s.api.core.v1.PodTemplateSpec")]
"""A pod template, passed through as it stands."""
EnvVars = list[Annotated[dict[str, Any], Field(builtin="io.k8s.api.core.v1.EnvVar")]]
Resources = Annotated[dict[str, Any], Field(builtin="io.k8s.api.core.v1.ResourceRequirements")]
LabelSelector = Annotated[dict[str, Any], Field(builtin="io.k8s.apimachinery.pkg.apis.meta.v1.LabelSelector")]

"""The annotations that ask for places in a topology (pkg/controller/jobframework/tas_validation.go)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from raysail.api import causes
from raysail.api.errors import Cause
from raysail.api.go_parse import parse_bool, parse_int
from raysail.api.kueue.admission.settings import AdmissionSettings
from raysail.api.kueue.names import (
    POD_SET_GROUP_NAME_ANNOTATION,
    POD_SET_PREFERRED_TOPOLOGY_ANNOTATION,
    POD_SET_REQUIRED_TOPOLOGY_ANNOTATION,
    POD_SET_SLICE_REQUIRED_TOPOLOGY_ANNOTATION,
    POD_SET_SLICE_REQUIRED_TOPOLOGY_CONSTRAINTS_ANNOTATION,
    POD_SET_SLICE_SIZE_ANNOTATION,
    POD_SET_UNCONSTRAINED_TOPOLOGY_ANNOTATION,
)
from raysail.api.names import label_key_causes

Json = Mapping[str, Any]
_TOPOLOGIES: Final = (
    POD_SET_REQUIRED_TOPOLOGY_ANNOTATION,
    POD_SET_PREFERRED_TOPOLOGY_ANNOTATION,
    POD_SET_UNCONSTRAINED_TOPOLOGY_ANNOTATION,
)
_MOST_LAYERS: Final = 3


@dataclass(frozen=True, slots=True)
class PodSetSource:
    """Where a pod set of a job comes from: `path` leads to its template's metadata, e.g. `spec.template.metadata`."""

    name: str
    count: int
    metadata: Json
    path: str

    @property
    def annotations(self) -> Mapping[str, str]:
        """The template's annotations."""
        return self.metadata.get("annotations") or {}

    @property
    def annotations_path(self) -> str:
        """Where they are."""
        return f"{self.path}.annotations"


def topology_causes(path: str, metadata: Json | None, settings: AdmissionSettings) -> list[Cause]:
    """Faults of the annotations of one template, whose metadata is at `path`."""
    annotations: Mapping[str, str] = (metadata or {}).get("annotations") or {}
    field = f"{path}.annotations"
    found: list[Cause] = []
    if sum(key in annotations for key in _TOPOLOGIES) > 1:
        listed = ", ".join(f'"{key}"' for key in _TOPOLOGIES)
        found.append(causes.invalid_without_value(field, f"must not contain more than one topology annotation: [{listed}]"))
    for key in (*_TOPOLOGIES[:2], POD_SET_SLICE_REQUIRED_TOPOLOGY_ANNOTATION):
        if key in annotations:
            found += label_key_causes(annotations[key], f"{field}[{key}]")
    found += _group_name_causes(field, annotations)
    if POD_SET_UNCONSTRAINED_TOPOLOGY_ANNOTATION in annotations:
        value = annotations[POD_SET_UNCONSTRAINED_TOPOLOGY_ANNOTATION]
        try:
            parse_bool(value)
        except ValueError:
            found.append(causes.invalid(f"{field}[{POD_SET_UNCONSTRAINED_TOPOLOGY_ANNOTATION}]", value, "must be a boolean value"))
    found += _slice_causes(field, annotations)
    return found + _constraints_causes(field, annotations, settings)


def slice_size_causes(pod_set: PodSetSource) -> list[Cause]:
    """A slice is not larger than its pod set."""
    found = []
    too_large = f"must not be greater than pod set count {pod_set.count}"
    size = pod_set.annotations.get(POD_SET_SLICE_SIZE_ANNOTATION)
    if size is not None:
        field = f"{pod_set.annotations_path}[{POD_SET_SLICE_SIZE_ANNOTATION}]"
        try:
            number = parse_int(size, "ParseInt", 32)
        except ValueError:
            return [causes.invalid(field, size, "must be a numeric value")]
        if number > pod_set.count:
            found.append(causes.invalid(field, size, too_large))
    layers = _layers(pod_set.annotations.get(POD_SET_SLICE_REQUIRED_TOPOLOGY_CONSTRAINTS_ANNOTATION, ""))
    if isinstance(layers, list) and layers and layers[0].get("size", 0) > pod_set.count:
        field = f"{pod_set.annotations_path}[{POD_SET_SLICE_REQUIRED_TOPOLOGY_CONSTRAINTS_ANNOTATION}]"
        found.append(causes.invalid(field, layers[0]["size"], too_large))
    return found


def grouping_causes(pod_sets: Sequence[PodSetSource]) -> list[Cause]:
    """A group has two pod sets, one of them with a single Pod, that ask for the same topology."""
    groups: dict[str, list[PodSetSource]] = {}
    for pod_set in pod_sets:
        name = pod_set.annotations.get(POD_SET_GROUP_NAME_ANNOTATION)
        if name is not None and any(key in pod_set.annotations for key in _TOPOLOGIES[:2]):
            groups.setdefault(name, []).append(pod_set)
    found: list[Cause] = []
    for name, members in groups.items():
        if len(members) != 2:
            detail = f"can only define groups of exactly 2 pod sets, got: {len(members)} pod set(s)"
            found += [causes.invalid(f"{member.annotations_path}[{POD_SET_GROUP_NAME_ANNOTATION}]", name, detail) for member in members]
            continue
        first, second = members
        if first.count != 1 and second.count != 1:
            detail = (
                "can only define groups where at least one pod set has only 1 replica, "
                f"got: {first.count} replica(s) and {second.count} replica(s) in the group"
            )
            found += [causes.invalid(f"{member.annotations_path}[{POD_SET_GROUP_NAME_ANNOTATION}]", name, detail) for member in members]
        if any(_asked(first, key) != _asked(second, key) for key in _TOPOLOGIES[:2]):
            for member, other in ((first, second), (second, first)):
                detail = (
                    f"must specify '{POD_SET_REQUIRED_TOPOLOGY_ANNOTATION}' or '{POD_SET_PREFERRED_TOPOLOGY_ANNOTATION}' topology "
                    f"consistent with '{other.annotations_path}' in group '{name}'"
                )
                found.append(causes.invalid_without_value(member.annotations_path, detail))
    return found


def _asked(pod_set: PodSetSource, key: str) -> str | None:
    """What a pod set asks for; a required topology hides a preferred one."""
    if key == POD_SET_PREFERRED_TOPOLOGY_ANNOTATION and POD_SET_REQUIRED_TOPOLOGY_ANNOTATION in pod_set.annotations:
        return None
    return pod_set.annotations.get(key)


def _group_name_causes(field: str, annotations: Mapping[str, str]) -> list[Cause]:
    name = annotations.get(POD_SET_GROUP_NAME_ANNOTATION)
    if name is None:
        return []
    path = f"{field}[{POD_SET_GROUP_NAME_ANNOTATION}]"
    found = []
    if name.isascii() and name.isdigit() and int(name) < 1 << 64:
        found.append(causes.invalid(path, name, "must not be a number"))
    found += [
        causes.forbidden(path, f"may not be set when '{key}' is specified")
        for key in (POD_SET_SLICE_SIZE_ANNOTATION, POD_SET_SLICE_REQUIRED_TOPOLOGY_ANNOTATION)
        if key in annotations
    ]
    if not any(key in annotations for key in _TOPOLOGIES[:2]):
        detail = f"may not be set when neither '{POD_SET_PREFERRED_TOPOLOGY_ANNOTATION}' nor '{POD_SET_REQUIRED_TOPOLOGY_ANNOTATION}' is specified"
        found.append(causes.forbidden(path, detail))
    return found


def _slice_causes(field: str, annotations: Mapping[str, str]) -> list[Cause]:
    found = []
    path = f"{field}[{POD_SET_SLICE_SIZE_ANNOTATION}]"
    size = annotations.get(POD_SET_SLICE_SIZE_ANNOTATION)
    if size is not None:
        try:
            if parse_int(size, "ParseInt", 32) < 1:
                found.append(causes.invalid(path, size, "must be greater than or equal to 1"))
        except ValueError:
            found.append(causes.invalid(path, size, "must be a numeric value"))
    topology_given = POD_SET_SLICE_REQUIRED_TOPOLOGY_ANNOTATION in annotations
    if topology_given and size is None:
        found.append(causes.required(path, f"must be set when '{POD_SET_SLICE_REQUIRED_TOPOLOGY_ANNOTATION}' is specified"))
    if not topology_given and size is not None:
        found.append(causes.forbidden(path, f"may not be set when '{POD_SET_SLICE_REQUIRED_TOPOLOGY_ANNOTATION}' is not specified"))
    return found


def _layers(text: str) -> list[dict[str, Any]] | str:
    """The layers in the annotation, or what is wrong with its JSON."""
    try:
        parsed = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        return str(error)
    if not isinstance(parsed, list) or not all(isinstance(layer, dict) for layer in parsed):
        return "json: cannot unmarshal into a list of objects with topology and size"
    if not all(type(layer.get("size", 0)) is int and isinstance(layer.get("topology", ""), str) for layer in parsed):
        return "json: topology must be a string and size a number"
    return parsed


def _constraints_causes(field: str, annotations: Mapping[str, str], settings: AdmissionSettings) -> list[Cause]:
    text = annotations.get(POD_SET_SLICE_REQUIRED_TOPOLOGY_CONSTRAINTS_ANNOTATION)
    if text is None:
        return []
    path = f"{field}[{POD_SET_SLICE_REQUIRED_TOPOLOGY_CONSTRAINTS_ANNOTATION}]"
    if not settings.enabled("TASMultiLayerTopology"):
        return [causes.forbidden(path, "the TASMultiLayerTopology feature gate must be enabled to use this annotation")]
    found = [
        causes.forbidden(path, f"may not be set when '{key}' is specified")
        for key in (POD_SET_SLICE_REQUIRED_TOPOLOGY_ANNOTATION, POD_SET_SLICE_SIZE_ANNOTATION)
        if key in annotations
    ]
    if POD_SET_GROUP_NAME_ANNOTATION in annotations:
        detail = f"may not be set when '{POD_SET_SLICE_REQUIRED_TOPOLOGY_CONSTRAINTS_ANNOTATION}' is specified"
        found.append(causes.forbidden(f"{field}[{POD_SET_GROUP_NAME_ANNOTATION}]", detail))
    layers = _layers(text)
    if isinstance(layers, str):
        return [*found, causes.invalid(path, text, f"must be a valid JSON array: {layers}")]
    if not 1 <= len(layers) <= _MOST_LAYERS:
        return [*found, causes.invalid(path, text, f"topology constraints must contain between 1 and {_MOST_LAYERS} entries")]
    first_at: dict[str, int] = {}
    twice, uneven = [], []
    for at, layer in enumerate(layers):
        topology, size = layer.get("topology", ""), layer.get("size", 0)
        found += label_key_causes(topology, f"{path}[{at}].topology")
        if size < 1:
            found.append(causes.invalid(f"{path}[{at}].size", size, "must be greater than or equal to 1"))
        if topology in first_at:
            twice.append(causes.duplicate(f"{path}[{at}].topology", f"{topology} (also at index {first_at[topology]})"))
        first_at.setdefault(topology, at)
        above = layers[at - 1].get("size", 0) if at else 0
        if at and size > 0 and above % size:
            uneven.append(causes.invalid(f"{path}[{at}].size", size, f"must evenly divide the parent layer size {above}"))
    return found + twice + uneven

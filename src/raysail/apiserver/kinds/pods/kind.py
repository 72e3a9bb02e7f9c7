"""The rules of Pod and PodTemplate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from raysail.api.causes import forbidden
from raysail.api.meta import format_time
from raysail.apiserver.kinds.fields import Faults, JsonMap
from raysail.apiserver.kinds.pod_resources import qos_class
from raysail.apiserver.kinds.pods.spec import check_only_for_pods, check_pod_annotations, check_pod_spec, check_template
from raysail.apiserver.kinds.pods.update import (
    check_ephemeral_update,
    check_pod_status,
    check_pod_update,
    check_resize,
    keep_all_but_ephemeral,
    keep_all_but_sizes,
    prepare_status,
)
from raysail.apiserver.kinds.pods.warnings import pod_warnings, template_warnings
from raysail.apiserver.kinds.rules import Rules, Subresource, spec_differs
from raysail.apiserver.strategy import JsonObject, Request


def _create(obj: JsonObject, request: Request) -> None:
    spec = obj.get("spec") or {}
    status: JsonObject = {"phase": "Pending", "qosClass": qos_class(spec)}
    if spec.get("schedulingGates"):
        status["conditions"] = [
            {
                "type": "PodScheduled",
                "status": "False",
                "lastProbeTime": None,
                "lastTransitionTime": format_time(request.now),
                "reason": "SchedulingGated",
                "message": "Scheduling is blocked due to non-empty scheduling gates",
            }
        ]
    obj["status"] = status
    _merge_label_keys(obj)


def _merge_label_keys(obj: JsonObject) -> None:
    """`matchLabelKeys` become requirements on the Pod's own label values."""
    labels = obj["metadata"].get("labels") or {}
    spec = obj.get("spec") or {}
    affinity = spec.get("affinity") or {}
    terms: list[JsonObject] = list(spec.get("topologySpreadConstraints") or ())
    for name in ("podAffinity", "podAntiAffinity"):
        group = affinity.get(name) or {}
        terms += group.get("requiredDuringSchedulingIgnoredDuringExecution") or []
        terms += [w.get("podAffinityTerm") or {} for w in group.get("preferredDuringSchedulingIgnoredDuringExecution") or ()]
    for term in terms:
        if term.get("labelSelector") is None:
            continue
        for field, operator in (("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")):
            for key in term.get(field) or ():
                if key in labels:
                    expressions = term["labelSelector"].setdefault("matchExpressions", [])
                    expressions.append({"key": key, "operator": operator, "values": [labels[key]]})


def _check(obj: JsonMap, faults: Faults) -> None:
    metadata, spec = obj["metadata"], obj.get("spec") or {}
    check_pod_annotations(metadata.get("annotations") or {}, spec, "metadata.annotations", faults)
    check_pod_spec(spec, "spec", faults, pod_name=metadata.get("name", ""))
    check_only_for_pods(spec, "spec", faults)


def _check_create(obj: JsonMap, faults: Faults) -> None:
    _check(obj, faults)
    spec = obj.get("spec") or {}
    if spec.get("ephemeralContainers"):
        faults.append(forbidden("spec.ephemeralContainers", "cannot be set on create"))
    if spec.get("nodeName") and spec.get("schedulingGates"):
        faults.append(forbidden("spec.nodeName", "cannot be set until all schedulingGates have been cleared"))


def _check_update(obj: JsonMap, old: JsonMap, faults: Faults) -> None:
    _check(obj, faults)
    check_pod_update(obj, old, faults)


def _check_ephemeral(obj: JsonMap, old: JsonMap, faults: Faults) -> None:
    _check(obj, faults)
    check_ephemeral_update(obj, old, faults)


def _check_resize(obj: JsonMap, old: JsonMap, faults: Faults) -> None:
    _check(obj, faults)
    check_resize(obj, old, faults)


def _template_differs(obj: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    return obj.get("template") != old.get("template")


def _check_pod_template(obj: JsonMap, faults: Faults) -> None:
    check_template(obj.get("template") or {}, "template", faults)


POD: Final = Rules(
    has_status=True,
    create=_create,
    check_create=_check_create,
    check_update=_check_update,
    check_status=check_pod_status,
    prepare_status=prepare_status,
    status_keeps=("ownerReferences", "deletionTimestamp"),
    changed=spec_differs,
    warnings=pod_warnings,
    subresources={
        "ephemeralcontainers": Subresource(keep_all_but_ephemeral, _check_ephemeral),
        "resize": Subresource(keep_all_but_sizes, _check_resize),
    },
)

POD_TEMPLATE: Final = Rules(
    check=_check_pod_template,
    changed=_template_differs,
    warnings=lambda obj: template_warnings(obj.get("template") or {}, "template"),
)

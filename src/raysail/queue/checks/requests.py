"""ProvisioningRequests: names and attempts, whether one is needed, which pod sets go into it, and its body. Pure.

Source: Kueue pkg/controller/admissionchecks/provisioning (controller.go, provisioning.go).
"""

from __future__ import annotations

import copy
import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from msgspec import field

from raysail.api import conditions
from raysail.api.kueue import ProvisioningRequestConfig, Workload, names
from raysail.api.kueue.provisioning import IDENTICAL_POD_TEMPLATES, IDENTICAL_WORKLOAD_SCHEDULING_REQUIREMENTS
from raysail.api.kueue.workload import PodSet, PodSetAssignment
from raysail.api.meta import Condition, Object, View
from raysail.api.quantity import parse_nano
from raysail.api.resources import WORKLOADS, Resource
from raysail.queue.model.cluster_queue import Flavor
from raysail.queue.model.podset import info_of_assignment, inject
from raysail.queue.model.requests import adjusted_template

PROVISIONING_REQUESTS: Final = Resource("autoscaling.x-k8s.io", "v1", "ProvisioningRequest", "provisioningrequests")
MANAGED_LABEL: Final = "kueue.x-k8s.io/managed"
MAX_NAME_PREFIX: Final = 247
"""Longer names are cut there and end in five digits of their SHA-1."""
INCONSISTENT: Final = "inconsistent podSet assignments"


class TemplateReference(View, frozen=True):
    """A PodTemplate."""

    name: str = ""


class RequestedPodSet(View, frozen=True):
    """So many Pods of one template."""

    pod_template_ref: TemplateReference = TemplateReference()
    count: int = 0


class ProvisioningRequestSpec(View, frozen=True):
    """What is asked for."""

    provisioning_class_name: str = ""
    parameters: dict[str, str] | None = None
    pod_sets: list[RequestedPodSet] | None = None


class ProvisioningRequestStatus(View, frozen=True):
    """What the autoscaler answered."""

    conditions: list[Condition] | None = None
    provisioning_class_details: dict[str, str] | None = None


class ProvisioningRequest(Object, frozen=True):
    """autoscaling.x-k8s.io/v1: nodes asked of the cluster autoscaler."""

    spec: ProvisioningRequestSpec = field(default_factory=ProvisioningRequestSpec)
    status: ProvisioningRequestStatus = field(default_factory=ProvisioningRequestStatus)

    def holds(self, type_: str) -> bool:
        """Whether that condition is True."""
        return conditions.is_true(self.status.conditions, type_)

    def message(self, type_: str) -> str | None:
        """That condition's message; None where there is no such condition."""
        found = conditions.find(self.status.conditions, type_)
        return found.message if found is not None else None


class InconsistentAssignmentsError(Exception):
    """The admission does not say how many Pods of a pod set there will be."""


# names and attempts


def limited(name: str) -> str:
    """A name that is not too long."""
    if len(name) <= MAX_NAME_PREFIX:
        return name
    return f"{name[:MAX_NAME_PREFIX]}-{hashlib.sha1(name.encode()).hexdigest()[:5]}"  # noqa: S324 - as Kueue names them; guards nothing


def request_name(workload: str, check: str, attempt: int) -> str:
    """Name of the n-th request for that check."""
    return limited(f"{workload}-{check}-{attempt}")


def template_name(request: str, pod_set: str) -> str:
    """Name of the PodTemplate of one pod set."""
    return limited(f"ppt-{request}-{pod_set}")


def attempt_of(request: ProvisioningRequest, workload: str, check: str) -> int | None:
    """Which attempt for that check it is; None: it is not for that check."""
    found = re.fullmatch(re.escape(limited(f"{workload}-{check}-")) + "([0-9]+)", request.metadata.name)
    return int(found[1]) if found else None


def in_step_with(request: ProvisioningRequest, config: ProvisioningRequestConfig) -> bool:
    """Whether it asks for what the settings say now."""
    if request.spec.provisioning_class_name != config.spec.provisioning_class_name:
        return False
    asked = request.spec.parameters or {}
    return all(asked.get(key) == value for key, value in (config.spec.parameters or {}).items())


def last_requests(
    workload: Workload, configs: Mapping[str, ProvisioningRequestConfig | None], owned: Collection[ProvisioningRequest]
) -> dict[str, ProvisioningRequest]:
    """For each check the request of the highest attempt that still fits its settings. Raises InconsistentAssignmentsError."""
    found: dict[str, ProvisioningRequest] = {}
    for check, config in configs.items():
        if config is None or not is_needed(workload, config):
            continue
        highest = -1
        for request in owned:
            attempt = attempt_of(request, workload.metadata.name, check)
            if attempt is not None and attempt > highest and in_step_with(request, config):
                found[check], highest = request, attempt
    return found


# whether, and for which Pods


def is_needed(workload: Workload, config: ProvisioningRequestConfig) -> bool:
    """Whether some Pod set with Pods uses a managed resource (any Pods do where none is named). Raises InconsistentAssignmentsError."""
    assigned = _assignments(workload)
    for pod_set in _users(workload, config):
        given = assigned.get(pod_set.name)
        if given is None:
            raise InconsistentAssignmentsError(f'{INCONSISTENT}: missing assignment for PodSet "{pod_set.name}"')
        if (given.count if given.count is not None else pod_set.count) > 0:
            return True
    return False


def _assignments(workload: Workload) -> dict[str, PodSetAssignment]:
    admission = workload.status.admission
    return {given.name: given for given in (admission.pod_set_assignments or ())} if admission is not None else {}


def _users(workload: Workload, config: ProvisioningRequestConfig) -> list[PodSet]:
    managed = set(config.spec.managed_resources or ())
    return [pod_set for pod_set in workload.spec.pod_sets if pod_set.count > 0 and (not managed or _uses(pod_set.template, managed))]


def _uses(template: Mapping[str, Any], managed: set[str]) -> bool:
    spec = template.get("spec") or {}
    for container in [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]:
        resources = container.get("resources") or {}
        if managed & {*(resources.get("requests") or ()), *(resources.get("limits") or ())}:
            return True
    return False


@dataclass(slots=True)
class RequestedPods:
    """Pods that are asked for with one template: of the named pod set, and of others that are merged into it."""

    pod_set: PodSet
    assignment: PodSetAssignment
    count: int


def merged_pod_sets(workload: Workload, config: ProvisioningRequestConfig) -> list[RequestedPods]:
    """The pod sets of the request, like ones merged as the settings say. Raises InconsistentAssignmentsError."""
    assigned = _assignments(workload)
    policy = config.spec.pod_set_merge_policy
    found: list[RequestedPods] = []
    for pod_set in _users(workload, config):
        given = assigned.get(pod_set.name)
        if given is None:
            raise InconsistentAssignmentsError(INCONSISTENT)
        count = given.count if given.count is not None else pod_set.count
        if count <= 0:
            continue
        like = next((each for each in found if _mergeable(each.pod_set.template, pod_set.template, policy)), None)
        if like is not None:
            like.count += count
        else:
            found.append(RequestedPods(pod_set, given, count))
    return found


_SCHEDULING = ("resources", "nodeSelector", "tolerations", "affinity", "resourceClaims")


def _mergeable(one: Mapping[str, Any], other: Mapping[str, Any], policy: str | None) -> bool:
    if policy == IDENTICAL_POD_TEMPLATES:
        return one == other
    if policy != IDENTICAL_WORKLOAD_SCHEDULING_REQUIREMENTS:
        return False
    a, b = one.get("spec") or {}, other.get("spec") or {}
    return all((a.get(key) or None) == (b.get(key) or None) for key in _SCHEDULING) and all(
        _requests(a.get(key)) == _requests(b.get(key)) for key in ("containers", "initContainers")
    )


def _requests(containers: Any) -> list[dict[str, int]]:
    return [
        {name: parse_nano(value) for name, value in ((each.get("resources") or {}).get("requests") or {}).items()}
        for each in containers or ()
    ]


# bodies


def owner_of(workload: Workload) -> dict[str, Any]:
    """The Workload as controlling owner."""
    return {
        "apiVersion": WORKLOADS.api_version,
        "kind": WORKLOADS.kind,
        "name": workload.metadata.name,
        "uid": workload.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def request_body(workload: Workload, config: ProvisioningRequestConfig, name: str, pods: Collection[RequestedPods]) -> dict[str, Any]:
    """The request, with the parameters of the settings and those of the Workload's annotations."""
    prefix = names.PROVISIONING_REQUEST_ANNOTATION_PREFIX
    parameters = dict(config.spec.parameters or {})
    for key, value in (workload.metadata.annotations or {}).items():
        if key.startswith(prefix):
            parameters[key.removeprefix(prefix)] = value
    return {
        "apiVersion": PROVISIONING_REQUESTS.api_version,
        "kind": PROVISIONING_REQUESTS.kind,
        "metadata": {
            "name": name,
            "namespace": workload.metadata.namespace,
            "labels": {MANAGED_LABEL: "true"},
            "ownerReferences": [owner_of(workload)],
        },
        "spec": {
            "provisioningClassName": config.spec.provisioning_class_name,
            "parameters": parameters,
            "podSets": [{"podTemplateRef": {"name": template_name(name, each.pod_set.name)}, "count": each.count} for each in pods],
        },
    }


def template_body(workload: Workload, name: str, pods: RequestedPods, flavors: Mapping[str, Flavor]) -> dict[str, Any]:
    """The PodTemplate of one of its pod sets, placed as admission placed it. Raises PodSetConflictError, MissingFlavorError.

    It belongs to the Workload until the request is there, so that nothing is left behind if that cannot be made.
    """
    template = copy.deepcopy(pods.pod_set.template)
    inject(template, info_of_assignment(pods.assignment, pods.pod_set, flavors))
    return {
        "apiVersion": "v1",
        "kind": "PodTemplate",
        "metadata": {
            "name": name,
            "namespace": workload.metadata.namespace,
            "labels": {MANAGED_LABEL: "true"},
            "ownerReferences": [owner_of(workload)],
        },
        "template": adjusted_template(template),
    }

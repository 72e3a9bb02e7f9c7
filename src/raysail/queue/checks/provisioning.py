"""What a ProvisioningRequest's fate means for the check in a Workload, and whether a(nother) request is to be made. Pure.

Source: Kueue pkg/controller/admissionchecks/provisioning/controller.go (syncCheckStates, syncOwnedProvisionRequest).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import msgspec

from raysail.api.kueue import ProvisioningRequestConfig, Workload
from raysail.queue.checks.requests import ProvisioningRequest, attempt_of, is_needed, request_name, template_name
from raysail.queue.checks.states import wait_seconds
from raysail.queue.lifecycle import status as transitions
from raysail.queue.lifecycle.status import Status
from raysail.queue.model.workload import has_reservation, is_active, is_admitted, is_finished

INACTIVE: Final = "the check is not active"
NOT_NEEDED: Final = "the provisioning request is not needed"
REQUEST_ANNOTATION: Final = "autoscaling.x-k8s.io/consume-provisioning-request"
CLASS_ANNOTATION: Final = "autoscaling.x-k8s.io/provisioning-class-name"

Configs = Mapping[str, ProvisioningRequestConfig | None]
"""A Workload's checks of this controller, with their settings; None where those cannot be used."""


@dataclass(slots=True)
class Verdict:
    """The checks as they should be, with the events that tell of it; `changed`: whether anything is to be written."""

    changed: bool = False
    told: list[str] = field(default_factory=list)


def concerns(workload: Workload, *, evicted: bool) -> bool:
    """Whether requests are looked at for this Workload: it holds quota, or has just let go of it."""
    return has_reservation(workload) or is_finished(workload) or evicted


def judge(workload: Workload, status: Status, configs: Configs, last: Mapping[str, ProvisioningRequest], now: datetime) -> Verdict:
    """Brings status.admissionChecks (changed in place) in step with the requests. Raises InconsistentAssignmentsError."""
    verdict = Verdict()
    for name, config in configs.items():
        check = next((each for each in status.get("admissionChecks") or () if each.get("name") == name), None)
        if check is None:
            continue
        before = {"message": "", **check}
        if config is None:
            new = {**before, "state": transitions.PENDING, "message": INACTIVE}
        elif not is_needed(workload, config):
            if before.get("state") == transitions.READY:
                continue
            new = {**_without(before, "podSetUpdates"), "state": transitions.READY, "message": NOT_NEEDED}
        elif (request := last.get(name)) is not None:
            new = _after(workload, before, request, config)
        else:
            continue
        if new == before:
            continue
        verdict.changed = True
        more = {key: new[key] for key in ("podSetUpdates", "requeueAfterSeconds", "retryCount") if key in new}
        transitions.set_check(status, name, new["state"], new.get("message", ""), now, **more)
        if new["state"] != before.get("state"):
            tail = f" with message: {new['message']}" if new.get("message") else ""
            verdict.told.append(f"Admission check {name} updated state from {before.get('state', '')} to {new['state']}{tail}")
    return verdict


def _without(check: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in check.items() if name != key}


def _after(workload: Workload, check: dict[str, Any], request: ProvisioningRequest, config: ProvisioningRequestConfig) -> dict[str, Any]:
    """The check as the request's conditions make it; those at an end count before those on the way."""
    if request.holds("Failed"):
        return _tried(workload, check, request, config, "Failed", "Retrying after failure")
    if request.holds("CapacityRevoked"):
        if not is_active(workload) or is_finished(workload):
            return check
        # The nodes are gone: what runs there would hang for ever, so the workload is deactivated.
        return {**check, "state": transitions.REJECTED, "message": request.message("CapacityRevoked") or ""}
    if request.holds("BookingExpired"):
        if is_admitted(workload):
            return check
        return _tried(workload, check, request, config, "BookingExpired", "Retrying after booking expired")
    if request.holds("Provisioned"):
        if check.get("state") == transitions.READY:
            return check
        updates = pod_set_updates(workload, request, config)
        return {**check, "state": transitions.READY, "message": request.message("Provisioned") or "", "podSetUpdates": updates}
    if request.holds("Accepted"):
        estimate = request.message("Provisioned")
        return check if estimate is None else {**check, "state": transitions.PENDING, "message": estimate}
    return {**check, "state": transitions.PENDING, "message": ""}


def _tried(
    workload: Workload,
    check: dict[str, Any],
    request: ProvisioningRequest,
    config: ProvisioningRequestConfig,
    condition: str,
    text: str,
) -> dict[str, Any]:
    attempt = attempt_of(request, workload.metadata.name, check["name"]) or 1
    retry = config.spec.retry_strategy
    limit = retry.backoff_limit_count if retry is not None and retry.backoff_limit_count is not None else 3
    if attempt > limit:
        return {**check, "state": transitions.REJECTED, "message": request.message(condition) or ""}
    new = {**check, "message": f"{text}: {request.message(condition) or ''}"}
    if attempt > (check.get("retryCount") or 0):  # else it is an old request, whose retry has been
        base = retry.backoff_base_seconds if retry is not None and retry.backoff_base_seconds is not None else 60
        most = retry.backoff_max_seconds if retry is not None and retry.backoff_max_seconds is not None else 1800
        again = wait_seconds(base, most, (check.get("retryCount") or 0) + 1, workload.metadata.uid)
        new |= {"state": transitions.RETRY, "requeueAfterSeconds": int(again)}
    return new


def pod_set_updates(workload: Workload, request: ProvisioningRequest, config: ProvisioningRequestConfig) -> list[dict[str, Any]]:
    """What the Pods need to use the nodes: annotations that name the request, and labels out of the autoscaler's answer."""
    by_template = {template_name(request.metadata.name, pod_set.name): pod_set.name for pod_set in workload.spec.pod_sets}
    details = request.status.provisioning_class_details or {}
    found = []
    for asked in request.spec.pod_sets or ():
        update: dict[str, Any] = {
            "name": by_template.get(asked.pod_template_ref.name, ""),
            "annotations": {REQUEST_ANNOTATION: request.metadata.name, CLASS_ANNOTATION: request.spec.provisioning_class_name},
        }
        wanted = config.spec.pod_set_updates
        selector = {
            each.key: details[each.value_from_provisioning_class_detail]
            for each in (wanted.node_selector if wanted is not None else None) or ()
            if each.value_from_provisioning_class_detail in details
        }
        if selector:
            update["nodeSelector"] = selector
        found.append(update)
    return found


def to_create(workload: Workload, configs: Configs, last: Mapping[str, ProvisioningRequest]) -> dict[str, str]:
    """Check to the name of the request that is to be made for it now. `workload` is as `judge` left it. Raises InconsistentAssignmentsError."""
    states = {check.name: check for check in workload.status.admission_checks or ()}
    found = {}
    for name, config in configs.items():
        if config is None or not is_needed(workload, config):
            continue
        check = states.get(name)
        if check is not None and check.state == transitions.READY:
            continue
        request = last.get(name)
        if request is None:
            # After its last request was cleaned up the count of retries tells how the next is called.
            attempt = ((check.retry_count or 0) if check is not None else 0) + 1
        elif check is not None and check.state == transitions.PENDING and _is_over(request, workload):
            attempt = (attempt_of(request, workload.metadata.name, name) or 1) + 1
        else:
            continue
        found[name] = request_name(workload.metadata.name, name, attempt)
    return found


def _is_over(request: ProvisioningRequest, workload: Workload) -> bool:
    return request.holds("Failed") or (request.holds("BookingExpired") and not is_admitted(workload))


def as_judged(workload: Workload, status: Status) -> Workload:
    """The Workload with that status."""
    return msgspec.structs.replace(workload, status=msgspec.convert(status, type(workload.status)))

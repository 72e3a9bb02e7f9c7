"""Job and CronJob (pkg/apis/batch/validation/validation.go, pkg/registry/batch)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from raysail.api.causes import duplicate, invalid, invalid_without_value, not_supported, required, too_long, too_many
from raysail.api.schedule import schedule_fault
from raysail.apiserver.kinds.fields import (
    Faults,
    JsonMap,
    check_immutable,
    check_nonnegative,
    check_qualified_name,
    check_selector,
    check_subdomain,
    selects,
)
from raysail.apiserver.kinds.job_status import check_job_status, indexes
from raysail.apiserver.kinds.pods.spec import check_template
from raysail.apiserver.kinds.pods.warnings import name_warning, template_warnings
from raysail.apiserver.kinds.rules import Rules, spec_differs
from raysail.apiserver.rest.names import label_faults
from raysail.apiserver.strategy import JsonObject, Request

CONTROLLER_UID: Final = "batch.kubernetes.io/controller-uid"
JOB_NAME: Final = "batch.kubernetes.io/job-name"
_OLD_CONTROLLER_UID: Final = "controller-uid"
_OLD_JOB_NAME: Final = "job-name"
_ACTIONS: Final = ("Count", "FailIndex", "FailJob", "Ignore")
_HIGH: Final = 100_000
_TIME_ZONE_PART: Final = re.compile(r"[A-Za-z._0-9+-]{1,14}", re.ASCII)
_COUNTS: Final = (
    "parallelism",
    "completions",
    "activeDeadlineSeconds",
    "backoffLimit",
    "ttlSecondsAfterFinished",
    "backoffLimitPerIndex",
    "maxFailedIndexes",
)


def _generate_selector(obj: JsonObject, request: Request) -> None:
    """A Job's Pods bear its uid and name, and it selects them by the uid, unless the user takes that in hand."""
    spec, metadata = obj["spec"], obj["metadata"]
    if not spec.get("manualSelector"):
        template = spec.setdefault("template", {}).setdefault("metadata", {})
        labels = template.get("labels")
        if labels is None:
            labels = template["labels"] = {}
        uid, name = metadata.get("uid", ""), metadata.get("name", "")
        for key, value in ((_OLD_JOB_NAME, name), (JOB_NAME, name), (_OLD_CONTROLLER_UID, uid), (CONTROLLER_UID, uid)):
            labels.setdefault(key, value)
        if spec.get("selector") is None:
            spec["selector"] = {}
        matched = spec["selector"].get("matchLabels")
        if matched is None:
            matched = spec["selector"]["matchLabels"] = {}
        matched.setdefault(CONTROLLER_UID, uid)
    if metadata.get("labels"):
        metadata["labels"] = dict(metadata["labels"])


def _check_generated(obj: JsonMap, faults: Faults, *, new_labels: bool = True) -> None:
    spec, metadata = obj.get("spec") or {}, obj["metadata"]
    if spec.get("manualSelector") or spec.get("selector") is None:
        return
    uid, name = metadata.get("uid", ""), metadata.get("name", "")
    expected = {_OLD_CONTROLLER_UID: uid, _OLD_JOB_NAME: name}
    if new_labels:
        expected |= {CONTROLLER_UID: uid, JOB_NAME: name}
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    at = "spec.template.metadata"
    for key, value in expected.items():
        if key not in labels:
            faults.append(required(f"{at}.labels[{key}]", f"must be '{value}'"))
        elif labels[key] != value:
            faults.append(invalid(f"{at}.labels[{key}]", labels, f"must be '{value}'"))
    if not selects(spec["selector"], expected):
        faults.append(invalid("spec.selector", spec["selector"], "`selector` not auto-generated"))


def _check(obj: JsonMap, faults: Faults) -> None:
    spec, name = obj.get("spec") or {}, obj["metadata"].get("name", "")
    check_job_spec(spec, "spec", faults)
    _check_selector(spec, "spec", faults)
    completions = spec.get("completions")
    if spec.get("completionMode") == "Indexed" and completions:
        hostname = f"{name}-{completions - 1}"
        if label_faults(hostname):
            faults.append(invalid("metadata.name", name, f"will not able to create pod with invalid DNS label: {hostname}"))


def _check_create(obj: JsonMap, faults: Faults) -> None:
    _check_generated(obj, faults)


def _check_selector(spec: JsonMap, at: str, faults: Faults) -> None:
    selector = spec.get("selector")
    if selector is None:
        faults.append(required(f"{at}.selector"))
    else:
        check_selector(selector, f"{at}.selector", faults)
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    if not selects(selector, labels):
        faults.append(invalid(f"{at}.template.metadata.labels", labels, "`selector` does not match template `labels`"))


def check_job_spec(spec: JsonMap, at: str, faults: Faults) -> None:
    """A JobSpec without its selector, as CronJobs hold it too."""
    for name in _COUNTS:
        check_nonnegative(spec.get(name), f"{at}.{name}", faults)
    per_index, failed = spec.get("backoffLimitPerIndex"), spec.get("maxFailedIndexes")
    if failed is not None and per_index is None:
        faults.append(required(f"{at}.backoffLimitPerIndex", "when maxFailedIndexes is specified"))
    if spec.get("managedBy") is not None:
        _check_domain_path(spec["managedBy"], f"{at}.managedBy", faults)
        if len(spec["managedBy"]) > 63:
            faults.append(too_long(f"{at}.managedBy", 63))
    mode = spec.get("completionMode")
    if mode is not None and mode not in ("NonIndexed", "Indexed"):
        faults.append(not_supported(f"{at}.completionMode", mode, ("NonIndexed", "Indexed")))
    if mode == "Indexed":
        _check_indexed(spec, at, faults)
    elif mode in (None, "NonIndexed"):
        for name in ("backoffLimitPerIndex", "maxFailedIndexes"):
            if spec.get(name) is not None:
                faults.append(invalid(f"{at}.{name}", spec[name], "requires indexed completion mode"))
    if spec.get("podFailurePolicy") is not None:
        _check_failure_policy(spec, f"{at}.podFailurePolicy", faults)
    if spec.get("successPolicy") is not None:
        if mode != "Indexed":
            faults.append(invalid(f"{at}.successPolicy", spec["successPolicy"], "requires indexed completion mode"))
        else:
            _check_success_policy(spec, f"{at}.successPolicy", faults)
    _check_replacement(spec, f"{at}.podReplacementPolicy", faults)
    template = spec.get("template") or {}
    check_template(template, f"{at}.template", faults)
    _check_restart(spec, (template.get("spec") or {}).get("restartPolicy", ""), f"{at}.template.spec.restartPolicy", faults)


def _check_domain_path(value: str, at: str, faults: Faults) -> None:
    if not value:
        faults.append(required(at))
        return
    domain, slash, path = value.partition("/")
    if not slash or not domain or not path:
        faults.append(invalid(at, value, 'must be a domain-prefixed path (such as "acme.io/foo")'))
        return
    check_subdomain(domain, at, faults)
    if not re.fullmatch(r"[A-Za-z0-9/\-._~%!$&'()*+,;=:]+", path, re.ASCII):
        faults.append(invalid(at, value, "Invalid path"))


def _check_indexed(spec: JsonMap, at: str, faults: Faults) -> None:
    completions, parallelism, failed = spec.get("completions"), spec.get("parallelism"), spec.get("maxFailedIndexes")
    if completions is None:
        faults.append(required(f"{at}.completions", "when completion mode is Indexed"))
    if parallelism is not None and parallelism > _HIGH:
        text = f"must be less than or equal to {_HIGH} when completion mode is Indexed"
        faults.append(invalid(f"{at}.parallelism", parallelism, text))
    if completions is not None and failed is not None and failed > completions:
        faults.append(invalid(f"{at}.maxFailedIndexes", failed, "must be less than or equal to completions"))
    if failed is not None and failed > _HIGH:
        faults.append(invalid(f"{at}.maxFailedIndexes", failed, f"must be less than or equal to {_HIGH}"))
    if completions is not None and completions > _HIGH and spec.get("backoffLimitPerIndex") is not None:
        if failed is None:
            faults.append(required(f"{at}.maxFailedIndexes", f"must be specified when completions is above {_HIGH}"))
        for name, value in (("parallelism", parallelism), ("maxFailedIndexes", failed)):
            if value is not None and value > 10_000:
                text = f"must be less than or equal to 10000 when completions are above {_HIGH} and used with backoff limit per index"
                faults.append(invalid(f"{at}.{name}", value, text))


def _check_restart(spec: JsonMap, policy: str, at: str, faults: Faults) -> None:
    if policy in ("", "Always"):
        faults.append(required(at, 'valid values: "OnFailure", "Never"'))
    elif policy not in ("OnFailure", "Never"):
        faults.append(not_supported(at, policy, ("OnFailure", "Never")))
    elif spec.get("podFailurePolicy") is not None and policy != "Never":
        faults.append(invalid(at, policy, 'only "Never" is supported when podFailurePolicy is specified'))


def _check_replacement(spec: JsonMap, at: str, faults: Faults) -> None:
    policy = spec.get("podReplacementPolicy")
    if policy is None:
        return
    allowed = ("Failed",) if spec.get("podFailurePolicy") is not None else ("Failed", "TerminatingOrFailed")
    if policy not in allowed:
        faults.append(not_supported(at, policy, allowed))


def _quoted(words: tuple[str, ...]) -> str:
    return "valid values: [" + " ".join(f'"{word}"' for word in words) + "]"


def _check_failure_policy(spec: JsonMap, at: str, faults: Faults) -> None:
    rules = spec["podFailurePolicy"].get("rules") or []
    if len(rules) > 20:
        faults.append(too_many(f"{at}.rules", len(rules), 20))
    pod = (spec.get("template") or {}).get("spec") or {}
    names = {container.get("name") for container in [*(pod.get("containers") or ()), *(pod.get("initContainers") or ())]}
    for index, rule in enumerate(rules):
        here, action = f"{at}.rules[{index}]", rule.get("action", "")
        if not action:
            faults.append(required(f"{here}.action", _quoted(_ACTIONS)))
        elif action == "FailIndex":
            if spec.get("backoffLimitPerIndex") is None:
                faults.append(invalid(f"{here}.action", action, "requires the backoffLimitPerIndex to be set"))
        elif action not in _ACTIONS:
            faults.append(not_supported(f"{here}.action", action, _ACTIONS))
        codes, conditions = rule.get("onExitCodes"), rule.get("onPodConditions") or []
        if codes is not None:
            _check_exit_codes(codes, names, f"{here}.onExitCodes", faults)
        _check_conditions(conditions, f"{here}.onPodConditions", faults)
        if codes is not None and conditions:
            faults.append(invalid_without_value(here, "specifying both OnExitCodes and OnPodConditions is not supported"))
        if codes is None and not conditions:
            faults.append(invalid_without_value(here, "specifying one of OnExitCodes and OnPodConditions is required"))


def _check_conditions(patterns: list[Any], at: str, faults: Faults) -> None:
    if len(patterns) > 20:
        faults.append(too_many(at, len(patterns), 20))
    for index, pattern in enumerate(patterns):
        check_qualified_name(pattern.get("type", ""), f"{at}[{index}].type", faults)
        if pattern.get("status") not in ("False", "True", "Unknown"):
            faults.append(not_supported(f"{at}[{index}].status", pattern.get("status", ""), ("False", "True", "Unknown")))


def _check_exit_codes(codes: JsonMap, names: set[Any], at: str, faults: Faults) -> None:
    operator, values, container = codes.get("operator", ""), codes.get("values") or [], codes.get("containerName")
    if not operator:
        faults.append(required(f"{at}.operator", _quoted(("In", "NotIn"))))
    elif operator not in ("In", "NotIn"):
        faults.append(not_supported(f"{at}.operator", operator, ("In", "NotIn")))
    if container is not None and container not in names:
        text = "must be one of the container or initContainer names in the pod template"
        faults.append(invalid(f"{at}.containerName", container, text))
    if not values:
        faults.append(invalid(f"{at}.values", values, "at least one value is required"))
    elif len(values) > 255:
        faults.append(too_many(f"{at}.values", len(values), 255))
    for index, value in enumerate(values):
        if operator == "In" and value == 0:
            faults.append(invalid(f"{at}.values[{index}]", value, "must not be 0 for the In operator"))
        if value in values[:index]:
            faults.append(duplicate(f"{at}.values[{index}]", value))
    if values != sorted(values):
        faults.append(invalid(f"{at}.values", values, "must be ordered"))


def _check_success_policy(spec: JsonMap, at: str, faults: Faults) -> None:
    rules, completions = spec["successPolicy"].get("rules") or [], spec.get("completions") or 0
    if not rules:
        faults.append(required(f"{at}.rules", "at least one rules must be specified when the successPolicy is specified"))
    if len(rules) > 20:
        faults.append(too_many(f"{at}.rules", len(rules), 20))
    for index, rule in enumerate(rules):
        here, count, listed = f"{at}.rules[{index}]", rule.get("succeededCount"), rule.get("succeededIndexes")
        if count is None and listed is None:
            faults.append(required(here, "at least one of succeededCount or succeededIndexes must be specified"))
        total = 0
        if listed is not None:
            if len(listed) > 64 * 1024:
                faults.append(too_long(f"{here}.succeededIndexes", 64 * 1024))
            try:
                total = len(indexes(listed, completions))
            except ValueError as error:
                faults.append(invalid(f"{here}.succeededIndexes", listed, f"error parsing succeededIndexes: {error}"))
        if count is not None:
            check_nonnegative(count, f"{here}.succeededCount", faults)
            if count > completions:
                text = f"must be less than or equal to {completions} (the number of specified completions)"
                faults.append(invalid(f"{here}.succeededCount", count, text))
            if listed is not None and count > total:
                text = f"must be less than or equal to {total} (the number of indexes in the specified succeededIndexes field)"
                faults.append(invalid(f"{here}.succeededCount", count, text))


def _check_update(obj: JsonMap, old: JsonMap, faults: Faults) -> None:
    spec, was = obj.get("spec") or {}, old.get("spec") or {}
    labels = ((was.get("template") or {}).get("metadata") or {}).get("labels") or {}
    _check_generated(obj, faults, new_labels=JOB_NAME in labels and CONTROLLER_UID in labels)
    if spec.get("completionMode") != "Indexed":
        check_immutable(spec.get("completions"), was.get("completions"), "spec.completions", faults)
    elif spec.get("completions") not in (None, was.get("completions"), spec.get("parallelism")):
        faults.append(invalid("spec.completions", spec["completions"], "can only be modified in tandem with spec.parallelism"))
    check_immutable(spec.get("selector"), was.get("selector"), "spec.selector", faults)
    _check_template_update(spec, was, old, faults)
    for name in ("completionMode", "podFailurePolicy", "backoffLimitPerIndex", "managedBy", "successPolicy"):
        check_immutable(spec.get(name), was.get(name), f"spec.{name}", faults)


def may_change_template(old: Mapping[str, Any]) -> bool:
    """Whether a Job is at rest, so that where its Pods run and what they ask for may change."""
    status = old.get("status") or {}
    if not (old.get("spec") or {}).get("suspend") or status.get("active"):
        return False
    suspended = any(c.get("type") == "Suspended" and c.get("status") == "True" for c in status.get("conditions") or ())
    return suspended or status.get("startTime") is None


def _check_template_update(spec: JsonMap, was: JsonMap, old: JsonMap, faults: Faults) -> None:
    new_template, old_template = spec.get("template") or {}, was.get("template") or {}
    if not may_change_template(old):
        check_immutable(new_template, old_template, "spec.template", faults)
        return
    new_pod, old_pod = new_template.get("spec") or {}, dict(old_template.get("spec") or {})
    affinity = {k: v for k, v in (old_pod.get("affinity") or {}).items() if k != "nodeAffinity"}
    node = (new_pod.get("affinity") or {}).get("nodeAffinity")
    if node is not None:
        affinity["nodeAffinity"] = node
    if affinity or new_pod.get("affinity") is not None:
        old_pod["affinity"] = affinity
    else:
        old_pod.pop("affinity", None)
    for name in ("nodeSelector", "tolerations", "schedulingGates"):
        if name in new_pod:
            old_pod[name] = new_pod[name]
        else:
            old_pod.pop(name, None)
    for name in ("containers", "initContainers"):
        containers, before = new_pod.get(name) or [], old_pod.get(name) or []
        if len(containers) == len(before):
            old_pod[name] = [
                {**b, "resources": c.get("resources") or {}} if b.get("name") == c.get("name") else b
                for c, b in zip(containers, before, strict=True)
            ]
        if not old_pod.get(name):
            old_pod.pop(name, None)
    check_immutable(new_pod, old_pod, "spec.template.spec", faults)


def _warnings(obj: JsonMap) -> list[str]:
    spec = obj.get("spec") or {}
    found = name_warning(obj["metadata"].get("name", ""), "this is used in Pod names and hostnames")
    return found + _spec_warnings(spec, "spec")


def _spec_warnings(spec: JsonMap, at: str) -> list[str]:
    found = []
    if spec.get("completionMode") == "Indexed" and (spec.get("completions") or 0) > _HIGH and (spec.get("parallelism") or 0) > 10_000:
        text = (
            "In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, Kubernetes might not be able to track"
            " completedIndexes when a big number of indexes fail"
        )
        found.append(f"{at}: {text}")
    return found + template_warnings(spec.get("template") or {}, f"{at}.template")


# CronJob.


def _check_cron_job(obj: JsonMap, faults: Faults) -> None:
    spec = obj.get("spec") or {}
    schedule, zone = spec.get("schedule", ""), spec.get("timeZone")
    if not schedule:
        faults.append(required("spec.schedule"))
    else:
        fault = schedule_fault(schedule)
        if fault:
            faults.append(invalid("spec.schedule", schedule, fault))
        if "TZ" in schedule:
            faults.append(invalid("spec.schedule", schedule, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"))
    check_nonnegative(spec.get("startingDeadlineSeconds"), "spec.startingDeadlineSeconds", faults)
    if zone is not None:
        _check_time_zone(zone, "spec.timeZone", faults)
    policy = spec.get("concurrencyPolicy", "")
    if policy not in ("Allow", "Forbid", "Replace"):
        faults.append(not_supported("spec.concurrencyPolicy", policy, ("Allow", "Forbid", "Replace")))
    job = (spec.get("jobTemplate") or {}).get("spec") or {}
    at = "spec.jobTemplate.spec"
    check_job_spec(job, at, faults)
    if job.get("selector") is not None:
        faults.append(invalid(f"{at}.selector", job["selector"], "`selector` will be auto-generated"))
    if job.get("manualSelector"):
        faults.append(not_supported(f"{at}.manualSelector", True, ("nil", "false")))
    for name in ("successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
        check_nonnegative(spec.get(name), f"spec.{name}", faults)


def _check_cron_job_name(obj: JsonMap, faults: Faults) -> None:
    name = obj["metadata"].get("name", "")
    if len(name) > 52:
        faults.append(invalid("metadata.name", name, "must be no more than 52 characters"))


def _check_time_zone(zone: str, at: str, faults: Faults) -> None:
    if not zone:
        faults.append(invalid(at, zone, "timeZone must be nil or non-empty string"))
        return
    parts = zone.split("/")
    if any(part in (".", "..") or part.startswith("-") or not _TIME_ZONE_PART.fullmatch(part) for part in parts):
        faults.append(invalid(at, zone, f"unknown time zone {zone}"))
        return
    if zone.lower() == "local":
        faults.append(invalid(at, zone, "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"))
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        faults.append(invalid(at, zone, f"unknown time zone {zone}"))


def _cron_job_warnings(obj: JsonMap) -> list[str]:
    found = name_warning(obj["metadata"].get("name", ""), "this is used in Pod names and hostnames")
    job = ((obj.get("spec") or {}).get("jobTemplate") or {}).get("spec") or {}
    return found + _spec_warnings(job, "spec.jobTemplate.spec")


JOB: Final = Rules(
    has_status=True,
    create=_generate_selector,
    check=_check,
    check_create=_check_create,
    check_update=_check_update,
    check_status=check_job_status,
    changed=spec_differs,
    warnings=_warnings,
)
CRON_JOB: Final = Rules(
    has_status=True, check=_check_cron_job, check_create=_check_cron_job_name, changed=spec_differs, warnings=_cron_job_warnings
)

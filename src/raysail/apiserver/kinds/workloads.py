"""Deployment, ReplicaSet, StatefulSet, DaemonSet, ReplicationController, ControllerRevision (pkg/apis/apps/validation)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from raysail.api.causes import forbidden, invalid, not_supported, required
from raysail.apiserver.kinds.fields import (
    Faults,
    JsonMap,
    check_immutable,
    check_label,
    check_nonnegative,
    check_not_more_than_all,
    check_percent_or_nonnegative,
    check_selector,
    is_empty_selector,
    percent_or_number,
    selects,
)
from raysail.apiserver.kinds.pods.spec import check_template
from raysail.apiserver.kinds.pods.warnings import template_warnings
from raysail.apiserver.kinds.rules import CheckUpdate, Rules, spec_differs
from raysail.apiserver.kinds.volume_claims import check_claim_spec
from raysail.apiserver.strategy import JsonObject, Request

_TEMPLATE_GENERATION: Final = "deprecated.daemonset.template.generation"
_NO_MATCH: Final = "`selector` does not match template `labels`"


def _check_template(spec: JsonMap, kind: str, faults: Faults) -> None:
    template = spec.get("template") or {}
    labels, pod = (template.get("metadata") or {}).get("labels") or {}, template.get("spec") or {}
    selector = spec.get("selector")
    if selector is None or not (is_empty_selector(selector) or selects(selector, labels)):
        faults.append(invalid("spec.template.metadata.labels", labels, _NO_MATCH))
    check_template(template, "spec.template", faults)
    if pod.get("restartPolicy") != "Always":
        faults.append(not_supported("spec.template.spec.restartPolicy", pod.get("restartPolicy", ""), ("Always",)))
    if pod.get("activeDeadlineSeconds") is not None:
        text = f"activeDeadlineSeconds in {kind} is not Supported"
        faults.append(forbidden("spec.template.spec.activeDeadlineSeconds", text))


def _check_own_selector(spec: JsonMap, what: str, faults: Faults, *, unusable: str = "invalid label selector") -> bool:
    """Whether the template's labels can be held against it. `unusable` is what is said where not."""
    selector = spec.get("selector")
    if selector is None:
        faults.append(required("spec.selector"))
        return True
    before = len(faults)
    check_selector(selector, "spec.selector", faults)
    sound = len(faults) == before
    if is_empty_selector(selector):
        faults.append(invalid("spec.selector", selector, f"empty selector is invalid for {what}"))
    if not sound:
        faults.append(invalid("spec.selector", selector, unusable))
    return sound


def _check_same_selector(obj: JsonMap, old: JsonMap, faults: Faults) -> None:
    check_immutable((obj.get("spec") or {}).get("selector"), (old.get("spec") or {}).get("selector"), "spec.selector", faults)


def _check_counts(spec: JsonMap, names: tuple[str, ...], faults: Faults) -> None:
    for name in names:
        check_nonnegative(spec.get(name), f"spec.{name}", faults)


def _status_check(*names: str, total: str = "replicas") -> CheckUpdate:
    """Counts that are not negative, none of them above the total."""

    def check(obj: JsonMap, old: JsonMap, faults: Faults) -> None:
        status = obj.get("status") or {}
        for name in (total, *names, "observedGeneration", "collisionCount", "terminatingReplicas"):
            check_nonnegative(status.get(name), f"status.{name}", faults)
        for name in names:
            if name.startswith("unavailable"):
                continue
            if status.get(name, 0) > status.get(total, 0):
                faults.append(invalid(f"status.{name}", status[name], f"cannot be greater than status.{total}"))
        if status.get("availableReplicas", 0) > status.get("readyReplicas", 0):
            faults.append(invalid("status.availableReplicas", status["availableReplicas"], "cannot be greater than readyReplicas"))

    return check


def _template_warning(obj: JsonMap) -> list[str]:
    return template_warnings((obj.get("spec") or {}).get("template") or {}, "spec.template")


# Deployment and ReplicaSet.


def _check_deployment(obj: JsonMap, faults: Faults) -> None:
    spec = obj.get("spec") or {}
    _check_counts(spec, ("replicas",), faults)
    if _check_own_selector(spec, "deployment", faults):
        _check_template(spec, "ReplicaSet", faults)
    strategy, at = spec.get("strategy") or {}, "spec.strategy"
    if strategy.get("type") == "Recreate":
        if strategy.get("rollingUpdate") is not None:
            faults.append(forbidden(f"{at}.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'"))
    elif strategy.get("type") == "RollingUpdate":
        _check_rolling(strategy.get("rollingUpdate"), f"{at}.rollingUpdate", faults)
    else:
        faults.append(not_supported(f"{at}.type", strategy.get("type", ""), ("Recreate", "RollingUpdate")))
    _check_counts(spec, ("minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"), faults)
    deadline = spec.get("progressDeadlineSeconds")
    if deadline is not None and deadline <= spec.get("minReadySeconds", 0):
        faults.append(invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds"))


def _check_rolling(rolling: JsonMap | None, at: str, faults: Faults) -> None:
    if rolling is None:
        faults.append(required(at, "this should be defaulted and never be nil"))
        return
    unavailable, surge = rolling.get("maxUnavailable"), rolling.get("maxSurge")
    for name, value in (("maxUnavailable", unavailable), ("maxSurge", surge)):
        if value is not None:
            check_percent_or_nonnegative(value, f"{at}.{name}", faults)
    if percent_or_number(unavailable)[1] == 0 and percent_or_number(surge)[1] == 0:
        faults.append(invalid(f"{at}.maxUnavailable", unavailable, "may not be 0 when `maxSurge` is 0"))
    if unavailable is not None:
        check_not_more_than_all(unavailable, f"{at}.maxUnavailable", faults)


def _spec_or_annotations_differ(obj: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    """Annotations are copied to the ReplicaSets, so they count."""
    new, before = obj["metadata"].get("annotations") or {}, old["metadata"].get("annotations") or {}
    return spec_differs(obj, old) or new != before


def _check_replica_set(obj: JsonMap, faults: Faults) -> None:
    spec = obj.get("spec") or {}
    _check_counts(spec, ("replicas", "minReadySeconds"), faults)
    if _check_own_selector(spec, "deployment", faults):
        _check_template(spec, "ReplicaSet", faults)


# StatefulSet.


def _check_stateful_set(obj: JsonMap, faults: Faults) -> None:
    spec = obj.get("spec") or {}
    policy = spec.get("podManagementPolicy", "")
    if policy not in ("OrderedReady", "Parallel"):
        faults.append(invalid("spec.podManagementPolicy", policy, "must be 'OrderedReady' or 'Parallel'"))
    strategy, at = spec.get("updateStrategy") or {}, "spec.updateStrategy"
    rolling = strategy.get("rollingUpdate")
    if strategy.get("type") == "OnDelete":
        if rolling is not None:
            faults.append(invalid(f"{at}.rollingUpdate", rolling, "only allowed for updateStrategy 'RollingUpdate'"))
    elif strategy.get("type") == "RollingUpdate":
        if rolling is not None:
            check_nonnegative(rolling.get("partition"), f"{at}.rollingUpdate.partition", faults)
    else:
        faults.append(invalid(at, strategy, "must be 'RollingUpdate' or 'OnDelete'"))
    retention = spec.get("persistentVolumeClaimRetentionPolicy") or {}
    for name in ("whenDeleted", "whenScaled"):
        if retention.get(name) not in ("Delete", "Retain"):
            here = f"spec.persistentVolumeClaimRetentionPolicy.{name}"
            faults.append(not_supported(here, retention.get(name, ""), ("Delete", "Retain")))
    _check_counts(spec, ("replicas", "minReadySeconds"), faults)
    check_nonnegative((spec.get("ordinals") or {}).get("start"), "spec.ordinals.start", faults)
    if _check_own_selector(spec, "statefulset", faults, unusable=""):
        _check_template(_with_claims(spec), "StatefulSet", faults)


def _check_stateful_set_create(obj: JsonMap, faults: Faults) -> None:
    spec = obj.get("spec") or {}
    if spec.get("serviceName"):
        check_label(spec["serviceName"], "spec.serviceName", faults)
    for index, claim in enumerate(spec.get("volumeClaimTemplates") or ()):
        at = f"spec.volumeClaimTemplates[{index}]"
        if not (claim.get("metadata") or {}).get("name"):
            faults.append(required(f"{at}.metadata.name"))
        else:
            check_label(claim["metadata"]["name"], f"{at}.metadata.name", faults)
        check_claim_spec(claim.get("spec") or {}, f"{at}.spec", faults)


def _with_claims(spec: JsonMap) -> JsonMap:
    """The spec as its Pods will see it: with volumes for the claims, and without the names that the controller writes."""
    template = spec.get("template") or {}
    pod = {key: value for key, value in (template.get("spec") or {}).items() if key not in ("hostname", "subdomain")}
    names = [(claim.get("metadata") or {}).get("name", "") for claim in spec.get("volumeClaimTemplates") or ()]
    own = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in names if name]
    pod["volumes"] = own + [volume for volume in pod.get("volumes") or () if volume.get("name") not in names]
    return {**spec, "template": {**template, "spec": pod}}


def _check_stateful_set_update(obj: JsonMap, old: JsonMap, faults: Faults) -> None:
    changeable = (
        "replicas",
        "template",
        "updateStrategy",
        "minReadySeconds",
        "ordinals",
        "revisionHistoryLimit",
        "persistentVolumeClaimRetentionPolicy",
    )
    fixed = [{k: v for k, v in (o.get("spec") or {}).items() if k not in changeable} for o in (obj, old)]
    if fixed[0] != fixed[1]:
        text = (
            "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit',"
            " 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
        )
        faults.append(forbidden("spec", text))


# DaemonSet.


def _create_daemon_set(obj: JsonObject, request: Request) -> None:
    annotations = obj["metadata"].get("annotations") or {}
    obj["metadata"]["annotations"] = {**annotations, _TEMPLATE_GENERATION: annotations.get(_TEMPLATE_GENERATION, "1")}


def _update_daemon_set(obj: JsonObject, old: Mapping[str, Any], request: Request) -> None:
    before = (old["metadata"].get("annotations") or {}).get(_TEMPLATE_GENERATION, "1")
    changed = (obj.get("spec") or {}).get("template") != (old.get("spec") or {}).get("template")
    generation = int(before) + 1 if changed and before.isdigit() else before
    obj["metadata"]["annotations"] = {**(obj["metadata"].get("annotations") or {}), _TEMPLATE_GENERATION: str(generation)}


def _check_daemon_set(obj: JsonMap, faults: Faults) -> None:
    spec = obj.get("spec") or {}
    selector = spec.get("selector")
    check_selector(selector, "spec.selector", faults)
    if selector is not None and is_empty_selector(selector):
        faults.append(invalid("spec.selector", selector, "empty selector is invalid for daemonset"))
    _check_template(spec, "DaemonSet", faults)
    _check_counts(spec, ("minReadySeconds", "revisionHistoryLimit"), faults)
    strategy, at = spec.get("updateStrategy") or {}, "spec.updateStrategy"
    rolling = strategy.get("rollingUpdate")
    if strategy.get("type") == "RollingUpdate":
        if rolling is None:
            faults.append(required(f"{at}.rollingUpdate"))
        else:
            _check_daemon_rolling(rolling, f"{at}.rollingUpdate", faults)
    elif strategy.get("type") != "OnDelete":
        faults.append(not_supported(f"{at}.type", strategy.get("type", ""), ("RollingUpdate", "OnDelete")))


def _check_daemon_rolling(rolling: JsonMap, at: str, faults: Faults) -> None:
    unavailable, surge = rolling.get("maxUnavailable"), rolling.get("maxSurge")
    for name, value in (("maxUnavailable", unavailable), ("maxSurge", surge)):
        check_percent_or_nonnegative(value, f"{at}.{name}", faults)
        check_not_more_than_all(value, f"{at}.{name}", faults)
    has_unavailable, has_surge = (percent_or_number(value)[1] != 0 for value in (unavailable, surge))
    if has_unavailable and has_surge:
        faults.append(invalid(f"{at}.maxSurge", surge, "may not be set when maxUnavailable is non-zero"))
    elif not has_unavailable and not has_surge:
        faults.append(required(f"{at}.maxUnavailable", "cannot be 0 when maxSurge is 0"))


def _check_daemon_status(obj: JsonMap, old: JsonMap, faults: Faults) -> None:
    for name, value in (obj.get("status") or {}).items():
        if isinstance(value, int):
            check_nonnegative(value, f"status.{name}", faults)


# ReplicationController and ControllerRevision.


def _check_replication_controller(obj: JsonMap, faults: Faults) -> None:
    spec = obj.get("spec") or {}
    _check_counts(spec, ("minReadySeconds", "replicas"), faults)
    selector = spec.get("selector") or {}
    if not selector:
        faults.append(required("spec.selector"))
    if spec.get("template") is None:
        faults.append(required("spec.template"))
        return
    _check_template({**spec, "selector": {"matchLabels": selector}}, "ReplicationController", faults)


def _check_revision(obj: JsonMap, faults: Faults) -> None:
    if obj.get("data") is None:
        faults.append(required("data", "data is mandatory"))
    check_nonnegative(obj.get("revision"), "revision", faults)


def _check_revision_update(obj: JsonMap, old: JsonMap, faults: Faults) -> None:
    check_immutable(obj.get("data"), old.get("data"), "data", faults)


def _workload(check: Callable[[JsonMap, Faults], None], **more: Any) -> Rules:
    return Rules(has_status=True, check=check, **{"changed": spec_differs, "warnings": _template_warning, **more})


DEPLOYMENT: Final = _workload(
    _check_deployment,
    check_update=_check_same_selector,
    check_status=_status_check("updatedReplicas", "readyReplicas", "availableReplicas", "unavailableReplicas"),
    changed=_spec_or_annotations_differ,
    status_keeps=("labels",),
)
REPLICA_SET: Final = _workload(
    _check_replica_set,
    check_update=_check_same_selector,
    check_status=_status_check("fullyLabeledReplicas", "readyReplicas", "availableReplicas"),
)
STATEFUL_SET: Final = _workload(
    _check_stateful_set,
    check_create=_check_stateful_set_create,
    check_update=_check_stateful_set_update,
    check_status=_status_check("readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"),
)
DAEMON_SET: Final = _workload(
    _check_daemon_set,
    create=_create_daemon_set,
    update=_update_daemon_set,
    check_update=_check_same_selector,
    check_status=_check_daemon_status,
)
REPLICATION_CONTROLLER: Final = _workload(
    _check_replication_controller, check_status=_status_check("fullyLabeledReplicas", "readyReplicas", "availableReplicas")
)
CONTROLLER_REVISION: Final = Rules(check=_check_revision, check_update=_check_revision_update)

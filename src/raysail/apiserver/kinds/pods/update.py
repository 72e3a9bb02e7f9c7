"""What may change in a Pod that exists."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Final

from raysail.api.causes import forbidden, invalid, required
from raysail.apiserver.kinds.fields import (
    MAX_INT32,
    Faults,
    JsonMap,
    between,
    check_immutable,
    check_ip,
    check_qualified_name,
    check_subdomain,
)
from raysail.apiserver.kinds.pod_resources import qos_class
from raysail.apiserver.kinds.rules import keep_metadata
from raysail.apiserver.strategy import Request

_CHANGEABLE: Final = (
    "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing"
    " tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)
_REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"
_SYSTEM_CONDITIONS: Final = ("PodScheduled", "Ready", "Initialized")


def check_pod_update(obj: JsonMap, old: JsonMap, faults: Faults) -> None:
    """Images, a shorter deadline, more tolerations, fewer gates; while gated also where it may run."""
    spec, was = obj.get("spec") or {}, old.get("spec") or {}
    for field in ("containers", "initContainers"):
        if not _check_containers(spec.get(field) or [], was.get(field) or [], f"spec.{field}", faults):
            return
    if not _check_deadline(spec.get("activeDeadlineSeconds"), was.get("activeDeadlineSeconds"), faults):
        return
    _check_added_tolerations(spec.get("tolerations") or [], was.get("tolerations") or [], faults)
    _check_removed_gates(spec.get("schedulingGates") or [], was.get("schedulingGates") or [], faults)
    if spec == was:
        return
    rest = _without_changeable(spec, was)
    if was.get("schedulingGates"):
        _allow_placement(rest, was, faults)
    if rest != was:
        faults.append(forbidden("spec", f"pod updates may not change fields other than {_CHANGEABLE}\n{difference(was, rest)}"))


def difference(old: Any, new: Any, at: str = "spec") -> str:
    """What differs, one place a line."""
    if isinstance(old, dict) and isinstance(new, dict):
        return "".join(difference(old.get(k), new.get(k), f"{at}.{k}") for k in sorted({*old, *new}) if old.get(k) != new.get(k))
    return f"{at}: {old!r} -> {new!r}\n"


def _check_containers(containers: list[Any], old: list[Any], at: str, faults: Faults) -> bool:
    if len(containers) != len(old):
        faults.append(forbidden(at, "pod updates may not add or remove containers"))
        return False
    for index, container in enumerate(containers):
        image = container.get("image", "")
        if not image:
            faults.append(required(f"{at}[{index}].image"))
        if image.strip() != image:
            faults.append(invalid(f"{at}[{index}].image", image, "must not have leading or trailing whitespace"))
    return True


def _check_deadline(new: int | None, old: int | None, faults: Faults) -> bool:
    at = "spec.activeDeadlineSeconds"
    if new is not None:
        if not 0 <= new <= MAX_INT32:
            faults.append(invalid(at, new, between(0, MAX_INT32)))
            return False
        if old is not None and old < new:
            faults.append(invalid(at, new, "must be less than or equal to previous value"))
            return False
    elif old is not None:
        faults.append(invalid(at, None, "must not update from a positive integer to nil value"))
    return True


def _check_added_tolerations(new: list[Any], old: list[Any], faults: Faults) -> None:
    def key(toleration: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in toleration.items() if name != "tolerationSeconds"}

    kept = [key(toleration) for toleration in new]
    if any(key(toleration) not in kept for toleration in old):
        faults.append(forbidden("spec.tolerations", "existing toleration can not be modified except its tolerationSeconds"))


def _check_removed_gates(new: list[Any], old: list[Any], faults: Faults) -> None:
    known = {gate.get("name") for gate in old}
    for index, gate in enumerate(new):
        if gate.get("name") not in known:
            text = f"only deletion is allowed, but found new scheduling gate '{gate.get('name')}'"
            faults.append(forbidden(f"spec.schedulingGates[{index}].name", text))


def _put(obj: dict[str, Any], name: str, source: Mapping[str, Any]) -> None:
    if name in source:
        obj[name] = source[name]
    else:
        obj.pop(name, None)


def _without_changeable(spec: JsonMap, was: JsonMap) -> dict[str, Any]:
    rest = dict(spec)
    for field in ("containers", "initContainers"):
        if field in rest:
            rest[field] = [{**c, "image": o.get("image", "")} for c, o in zip(rest[field], was.get(field) or [], strict=False)]
    for name in ("activeDeadlineSeconds", "schedulingGates", "tolerations"):
        _put(rest, name, was)
    if (was.get("terminationGracePeriodSeconds") or 0) < 0 and rest.get("terminationGracePeriodSeconds") == 1:
        _put(rest, "terminationGracePeriodSeconds", was)
    return rest


def _allow_placement(rest: dict[str, Any], was: JsonMap, faults: Faults) -> None:
    """A gated Pod may still be narrowed down to fewer nodes."""
    new, old = rest.get("nodeSelector") or {}, was.get("nodeSelector") or {}
    if new != old:
        if any(new.get(key) != value for key, value in old.items()):
            text = "only additions to spec.nodeSelector are allowed (no mutations or deletions)"
            faults.append(invalid("spec.nodeSelector", new, text))
        _put(rest, "nodeSelector", was)
    new_affinity = (rest.get("affinity") or {}).get("nodeAffinity")
    old_affinity = (was.get("affinity") or {}).get("nodeAffinity")
    if new_affinity == old_affinity:
        return
    _check_narrowed(new_affinity or {}, old_affinity or {}, "spec.affinity.nodeAffinity", faults)
    affinity = dict(rest.get("affinity") or {})
    affinity.pop("nodeAffinity", None)
    if old_affinity is not None:
        affinity["nodeAffinity"] = old_affinity
    if affinity or was.get("affinity") is not None:
        rest["affinity"] = affinity
    else:
        rest.pop("affinity", None)


def _check_narrowed(new: JsonMap, old: JsonMap, at: str, faults: Faults) -> None:
    terms = ((old.get(_REQUIRED) or {}).get("nodeSelectorTerms")) or []
    if not terms:
        return
    now = ((new.get(_REQUIRED) or {}).get("nodeSelectorTerms")) or []
    here = f"{at}.{_REQUIRED}.nodeSelectorTerms"
    if len(now) != len(terms):
        faults.append(invalid(here, now, "no additions/deletions to non-empty NodeSelectorTerms list are allowed"))
        return
    for index, term in enumerate(terms):
        if not _has_only_additions(now[index], term):
            faults.append(invalid(f"{here}[{index}]", now[index], "only additions are allowed (no mutations or deletions)"))


def _has_only_additions(new: JsonMap, old: JsonMap) -> bool:
    if not old.get("matchExpressions") and not old.get("matchFields") and (new.get("matchExpressions") or new.get("matchFields")):
        return False
    for field in ("matchExpressions", "matchFields"):
        before, after = old.get(field) or [], new.get(field) or []
        if len(before) > len(after) or before != after[: len(before)]:
            return False
    return True


# Subresources.


def keep_all_but_ephemeral(obj: dict[str, Any], old: Mapping[str, Any], request: object) -> None:
    """A write to `ephemeralcontainers` changes those only."""
    containers = (obj.get("spec") or {}).get("ephemeralContainers")
    _keep(obj, old)
    obj["spec"] = dict(old.get("spec") or {})
    if containers:
        obj["spec"]["ephemeralContainers"] = containers
    else:
        obj["spec"].pop("ephemeralContainers", None)


def keep_all_but_sizes(obj: dict[str, Any], old: Mapping[str, Any], request: object) -> None:
    """A write to `resize` changes requests, limits and resize policies only."""
    given = obj.get("spec") or {}
    _keep(obj, old)
    spec = copy.deepcopy(dict(old.get("spec") or {}))
    for field in ("containers", "initContainers"):
        sizes = {container.get("name"): container for container in given.get(field) or ()}
        if len(given.get(field) or ()) != len(spec.get(field) or ()):
            spec[field] = given.get(field) or []
            continue
        for container in spec.get(field) or ():
            source = sizes.get(container.get("name"))
            if source is not None:
                _put(container, "resources", source)
                _put(container, "resizePolicy", source)
    _put(spec, "resources", given)
    obj["spec"] = spec


def _keep(obj: dict[str, Any], old: Mapping[str, Any]) -> None:
    keep_metadata(obj, old)
    _put(obj, "status", old)


def check_ephemeral_update(obj: JsonMap, old: JsonMap, faults: Faults) -> None:
    """Those that exist stay as they are."""
    now = {container.get("name"): container for container in (obj.get("spec") or {}).get("ephemeralContainers") or ()}
    at = "spec.ephemeralContainers"
    for container in (old.get("spec") or {}).get("ephemeralContainers") or ():
        name = container.get("name", "")
        if name not in now:
            faults.append(forbidden(at, f'existing ephemeral containers "{name}" may not be removed\n'))
        elif now[name] != container:
            faults.append(
                forbidden(at, f'existing ephemeral containers "{name}" may not be changed\n{difference(container, now[name], name)}')
            )


def check_resize(obj: JsonMap, old: JsonMap, faults: Faults) -> None:
    """CPU and memory of containers, within the Pod's quality of service."""
    spec, was = obj.get("spec") or {}, old.get("spec") or {}
    if qos_class(spec) != (old.get("status") or {}).get("qosClass", qos_class(was)):
        faults.append(
            invalid("spec", (obj.get("status") or {}).get("qosClass", ""), "Pod QOS Class may not change as a result of resizing")
        )
    for field in ("containers", "initContainers"):
        new_list, old_list = spec.get(field) or [], was.get(field) or []
        names = [container.get("name") for container in new_list]
        if names != [container.get("name") for container in old_list]:
            what = "containers" if field == "containers" else "initContainers"
            faults.append(forbidden(f"spec.{field}", f"{what} may not be added, removed, renamed or reordered on resize"))
            return
        for index, (new, before) in enumerate(zip(new_list, old_list, strict=True)):
            _check_container_resize(
                new, before, f"spec.{field}[{index}]", faults, fixed=field == "initContainers" and before.get("restartPolicy") != "Always"
            )


def _check_container_resize(new: JsonMap, old: JsonMap, at: str, faults: Faults, *, fixed: bool) -> None:
    now, before = new.get("resources") or {}, old.get("resources") or {}
    if fixed:
        if now != before:
            faults.append(forbidden("spec", "resources for non-sidecar init containers are immutable"))
        return
    for kind in ("requests", "limits"):
        have, had = now.get(kind) or {}, before.get(kind) or {}
        for name in had:
            if name not in have and name in ("cpu", "memory"):
                faults.append(forbidden(f"{at}.resources.{kind}", f"resource {kind} cannot be removed"))
        if any(have.get(name) != had.get(name) for name in {*have, *had} - {"cpu", "memory"}):
            faults.append(forbidden("spec", "only cpu and memory resources are mutable"))


def prepare_status(obj: dict[str, Any], old: Mapping[str, Any], request: Request) -> None:
    """The class of service stays, also when an old agent leaves it out."""
    status = obj.setdefault("status", {})
    quality = (old.get("status") or {}).get("qosClass")
    if not status.get("qosClass") and quality:
        status["qosClass"] = quality


def check_pod_status(obj: JsonMap, old: JsonMap, faults: Faults) -> None:
    """A status write."""
    status, was = obj.get("status") or {}, old.get("status") or {}
    for index, condition in enumerate(status.get("conditions") or ()):
        here = f"status.conditions[{index}]"
        if condition.get("observedGeneration", 0) < 0:
            faults.append(invalid(f"{here}.observedGeneration", condition["observedGeneration"], "must be a non-negative integer"))
        if condition.get("type", "") not in _SYSTEM_CONDITIONS:
            check_qualified_name(condition.get("type", ""), f"{here}.Type", faults)
    nominated = status.get("nominatedNodeName")
    if nominated and nominated != was.get("nominatedNodeName"):
        check_subdomain(nominated, "status.nominatedNodeName", faults)
        if (old.get("spec") or {}).get("nodeName"):
            faults.append(forbidden("status.nominatedNodeName", "may not be set on pods that are already bound to a node"))
    if status.get("observedGeneration", 0) < 0:
        faults.append(invalid("status.observedGeneration", status["observedGeneration"], "must be a non-negative integer"))
    check_immutable(status.get("qosClass"), was.get("qosClass"), "status.qosClass", faults)
    _check_transitions(status, was, old.get("spec") or {}, faults)
    for field in ("podIPs", "hostIPs"):
        for index, address in enumerate(status.get(field) or ()):
            if address not in (was.get(field) or ()):
                check_ip(address.get("ip", ""), f"status.{field}[{index}]", faults)


def _check_transitions(status: JsonMap, was: JsonMap, spec: JsonMap, faults: Faults) -> None:
    """A container that ended for good does not run again."""
    for field, containers in (("containerStatuses", "containers"), ("initContainerStatuses", "initContainers")):
        policies = {container.get("name"): container.get("restartPolicy") for container in spec.get(containers) or ()}
        ruled = {container.get("name") for container in spec.get(containers) or () if container.get("restartPolicyRules")}
        now = {entry.get("name"): entry for entry in status.get(field) or ()}
        for index, entry in enumerate(was.get(field) or ()):
            name = entry.get("name")
            ended = (entry.get("state") or {}).get("terminated")
            if ended is None or name not in now or (now[name].get("state") or {}).get("terminated") is not None or name in ruled:
                continue
            policy = policies.get(name) or spec.get("restartPolicy")
            if policy == "Always" or (policy == "OnFailure" and ended.get("exitCode")):
                continue
            if field == "initContainerStatuses" and ended.get("exitCode") and spec.get("restartPolicy") != "Never":
                continue
            faults.append(forbidden(f"status.{field}[{index}].state", "may not be transitioned to non-terminated state"))

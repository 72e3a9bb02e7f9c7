"""Containers: ordinary ones, those that run first, and those that are put in later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from raysail.api.causes import duplicate, forbidden, invalid, not_found, not_supported, required, too_many
from raysail.apiserver.kinds.fields import (
    PROTOCOLS,
    Faults,
    JsonMap,
    check_choice,
    check_label,
    check_port_number,
    check_range,
    each,
    port_name_faults,
)
from raysail.apiserver.kinds.pods.environment import check_environment, check_environment_from
from raysail.apiserver.kinds.pods.probes import check_lifecycle, check_probes
from raysail.apiserver.kinds.pods.resources import check_requirements
from raysail.apiserver.kinds.pods.volumes import check_mounts

_MAX_ID: Final = 2**31 - 1
_PULL_POLICIES: Final = ("Always", "IfNotPresent", "Never")
_MESSAGE_POLICIES: Final = ("File", "FallbackToLogsOnError")
_RESTART_POLICIES: Final = ("Always", "Never", "OnFailure")
_RESTART_ACTIONS: Final = ("Restart", "RestartAllContainers")
_SECCOMP: Final = ("Localhost", "RuntimeDefault", "Unconfined")
_EPHEMERAL_FIELDS: Final = frozenset(
    {
        "name",
        "image",
        "command",
        "args",
        "workingDir",
        "envFrom",
        "env",
        "volumeMounts",
        "volumeDevices",
        "terminationMessagePath",
        "terminationMessagePolicy",
        "imagePullPolicy",
        "securityContext",
        "stdin",
        "stdinOnce",
        "tty",
        "targetContainerName",
        "resources",
    }
)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a container's checks need to know of its Pod."""

    volumes: Mapping[str, JsonMap]
    claims: frozenset[str]
    grace_seconds: int | None
    restart_policy: str
    system: str
    host_users: bool


def check_containers(containers: list[Any], pod: Surroundings, at: str, faults: Faults) -> None:
    """`containers`: at least one."""
    if not containers:
        faults.append(required(at))
        return
    names: set[str] = set()
    for index, container in enumerate(containers):
        here, name = f"{at}[{index}]", container.get("name", "")
        _check_common(container, pod, here, faults)
        if name in names:
            faults.append(duplicate(f"{here}.name", name))
        names.add(name)
        if container.get("lifecycle") is not None:
            check_lifecycle(container["lifecycle"], pod.grace_seconds, pod.system, f"{here}.lifecycle", faults)
        check_probes(container, pod.grace_seconds, here, faults)
        _check_restart(container, _RESTART_POLICIES, here, faults)
    _check_host_ports(containers, at, faults)


def check_init_containers(containers: list[Any], regular: list[Any], pod: Surroundings, at: str, faults: Faults) -> None:
    """`initContainers`: those with restartPolicy Always run on beside the others and may have probes."""
    names = {container.get("name", "") for container in regular}
    for index, container in enumerate(containers):
        here, name = f"{at}[{index}]", container.get("name", "")
        _check_common(container, pod, here, faults)
        _check_restart(container, _RESTART_POLICIES, here, faults)
        if name in names:
            faults.append(duplicate(f"{here}.name", name))
        elif name:
            names.add(name)
        _check_host_ports([container], at, faults)
        if container.get("restartPolicy") == "Always":
            if container.get("lifecycle") is not None:
                check_lifecycle(container["lifecycle"], pod.grace_seconds, pod.system, f"{here}.lifecycle", faults)
            check_probes(container, pod.grace_seconds, here, faults)
            continue
        faults.extend(
            forbidden(f"{here}.{field}", "may not be set for init containers without restartPolicy=Always")
            for field in ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe")
            if container.get(field) is not None
        )
        for place, policy in enumerate(container.get("resizePolicy") or ()):
            if policy.get("restartPolicy") == "RestartContainer":
                text = "must not be set to 'RestartContainer' for non-sidecar initContainers"
                faults.append(invalid(f"{here}.resizePolicy[{place}].restartPolicy", "RestartContainer", text))


def check_ephemeral_containers(containers: list[Any], others: list[Any], pod: Surroundings, at: str, faults: Faults) -> None:
    """`ephemeralContainers`: for looking into a running Pod, with little allowed. `others` are the Pod's containers of both other sorts."""
    fixed = {container.get("name", "") for container in others}
    names = set(fixed)
    for index, container in enumerate(containers):
        here, name = f"{at}[{index}]", container.get("name", "")
        _check_common(container, pod, here, faults)
        check_image_spaces(container, here, faults)
        if name in names:
            faults.append(duplicate(f"{here}.name", name))
        names.add(name)
        target = container.get("targetContainerName")
        if target and target not in fixed:
            faults.append(not_found(f"{here}.targetContainerName", target))
        for field, value in container.items():
            if field not in _EPHEMERAL_FIELDS or (field == "resources" and value):
                faults.append(forbidden(f"{here}.{field}", "cannot be set for an Ephemeral Container"))
        for place, mount in enumerate(container.get("volumeMounts") or ()):
            faults.extend(
                forbidden(f"{here}.volumeMounts[{place}].{field}", "cannot be set for an Ephemeral Container")
                for field in ("subPath", "subPathExpr")
                if mount.get(field)
            )


def check_image_spaces(container: JsonMap, at: str, faults: Faults) -> None:
    """An image without space around it: asked of Pods, not of templates."""
    image = container.get("image", "")
    if image != image.strip():
        faults.append(invalid(f"{at}.image", image, "must not have leading or trailing whitespace"))


def _check_common(container: JsonMap, pod: Surroundings, at: str, faults: Faults) -> None:
    if not container.get("name"):
        faults.append(required(f"{at}.name"))
    else:
        check_label(container["name"], f"{at}.name", faults)
    if not container.get("image"):
        faults.append(required(f"{at}.image"))
    check_choice(container.get("terminationMessagePolicy"), _MESSAGE_POLICIES, f"{at}.terminationMessagePolicy", faults)
    _check_ports(container.get("ports") or [], f"{at}.ports", faults)
    check_environment(container.get("env") or [], f"{at}.env", faults)
    check_environment_from(container.get("envFrom") or [], f"{at}.envFrom", faults)
    check_mounts(container, pod.volumes, at, faults)
    check_choice(container.get("imagePullPolicy"), _PULL_POLICIES, f"{at}.imagePullPolicy", faults)
    check_requirements(container.get("resources"), pod.claims, f"{at}.resources", faults)
    _check_resize_policy(container.get("resizePolicy") or [], pod, f"{at}.resizePolicy", faults)
    if container.get("securityContext") is not None:
        _check_security(container["securityContext"], pod, f"{at}.securityContext", faults)


def _check_ports(ports: list[Any], at: str, faults: Faults) -> None:
    names: set[str] = set()
    for index, port in enumerate(ports):
        here, name = f"{at}[{index}]", port.get("name")
        if name:
            texts = port_name_faults(name)
            each(faults, f"{here}.name", name, texts)
            if not texts and name in names:
                faults.append(duplicate(f"{here}.name", name))
            names.add(name)
        if not port.get("containerPort"):
            faults.append(required(f"{here}.containerPort"))
        else:
            check_port_number(port["containerPort"], f"{here}.containerPort", faults)
        if port.get("hostPort"):
            check_port_number(port["hostPort"], f"{here}.hostPort", faults)
        check_choice(port.get("protocol"), PROTOCOLS, f"{here}.protocol", faults)


def _check_host_ports(containers: list[Any], at: str, faults: Faults) -> None:
    taken: set[str] = set()
    for index, container in enumerate(containers):
        for place, port in enumerate(container.get("ports") or ()):
            if not port.get("hostPort"):
                continue
            text = f"{port.get('protocol', '')}/{port.get('hostIP', '')}/{port['hostPort']}"
            if text in taken:
                faults.append(duplicate(f"{at}[{index}].ports[{place}].hostPort", text))
            taken.add(text)


def _check_resize_policy(policies: list[Any], pod: Surroundings, at: str, faults: Faults) -> None:
    seen: set[str] = set()
    for index, policy in enumerate(policies):
        resource, restart = policy.get("resourceName", ""), policy.get("restartPolicy", "")
        if resource in seen:
            faults.append(duplicate(f"{at}[{index}]", resource))
        seen.add(resource)
        check_choice(resource, ("cpu", "memory"), at, faults)
        check_choice(restart, ("NotRequired", "RestartContainer"), at, faults)
        if pod.restart_policy == "Never" and restart != "NotRequired":
            faults.append(invalid(at, restart, "must be 'NotRequired' when pod `restartPolicy` is 'Never'"))


def _check_restart(container: JsonMap, policies: tuple[str, ...], at: str, faults: Faults) -> None:
    policy, rules = container.get("restartPolicy"), container.get("restartPolicyRules") or []
    if policy is None:
        if rules:
            faults.append(required(f"{at}.restartPolicy", "must specify restartPolicy when restart rules are used"))
            return
    elif policy not in policies:
        faults.append(not_supported(f"{at}.restartPolicy", policy, policies))
    if len(rules) > 20:
        faults.append(too_many(f"{at}.restartPolicyRules", len(rules), 20))
    for index, rule in enumerate(rules):
        here = f"{at}.restartPolicyRules[{index}]"
        if rule.get("action") not in _RESTART_ACTIONS:
            faults.append(not_supported(f"{here}.action", rule.get("action", ""), _RESTART_ACTIONS))
        codes = rule.get("exitCodes")
        if codes is None:
            faults.append(required(f"{here}.exitCodes", "must be specified"))
            continue
        if codes.get("operator") not in ("In", "NotIn"):
            faults.append(not_supported(f"{here}.exitCodes.operator", codes.get("operator", ""), ("In", "NotIn")))
        if len(codes.get("values") or ()) > 255:
            faults.append(too_many(f"{here}.exitCodes.values", len(codes["values"]), 255))


def _check_security(context: JsonMap, pod: Surroundings, at: str, faults: Faults) -> None:
    for name in ("runAsUser", "runAsGroup"):
        check_range(context.get(name), 0, _MAX_ID, f"{at}.{name}", faults)
    proc = context.get("procMount")
    if proc is not None and proc not in ("Default", "Unmasked"):
        faults.append(not_supported(f"{at}.procMount", proc, ("Default", "Unmasked")))
    if proc == "Unmasked" and pod.host_users:
        faults.append(invalid(f"{at}.procMount", proc, "`hostUsers` must be false to use `Unmasked`"))
    check_seccomp(context.get("seccompProfile"), f"{at}.seccompProfile", faults)
    if context.get("allowPrivilegeEscalation") is False:
        if context.get("privileged"):
            faults.append(invalid(at, dict(context), "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"))
        if "CAP_SYS_ADMIN" in ((context.get("capabilities") or {}).get("add") or ()):
            text = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
            faults.append(invalid(at, dict(context), text))
    check_seccomp(context.get("appArmorProfile"), f"{at}.appArmorProfile", faults)


def check_seccomp(profile: JsonMap | None, at: str, faults: Faults) -> None:
    """A seccomp or AppArmor profile."""
    if profile is None:
        return
    kind, path = profile.get("type", ""), profile.get("localhostProfile")
    if kind == "Localhost":
        if not path:
            faults.append(required(f"{at}.localhostProfile", "must be set when type is Localhost"))
    else:
        if path is not None:
            faults.append(invalid(f"{at}.localhostProfile", path, "can only be set when type is Localhost"))
        if not kind:
            faults.append(required(f"{at}.type", "type is required when seccompProfile is set"))
        elif kind not in _SECCOMP:
            faults.append(not_supported(f"{at}.type", kind, _SECCOMP))

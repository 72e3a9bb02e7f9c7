"""A PodSpec as a whole, in Pods and in templates."""

from __future__ import annotations

from typing import Any, Final

from raysail.api.causes import duplicate, forbidden, invalid, not_supported, required
from raysail.apiserver.kinds.fields import (
    MAX_INT32,
    Faults,
    JsonMap,
    check_annotations,
    check_choice,
    check_ip,
    check_label,
    check_labels,
    check_range,
    check_subdomain,
)
from raysail.apiserver.kinds.pods.containers import (
    Surroundings,
    check_containers,
    check_ephemeral_containers,
    check_image_spaces,
    check_init_containers,
    check_seccomp,
)
from raysail.apiserver.kinds.pods.placement import check_affinity, check_gates, check_readiness_gates, check_spread, check_tolerations
from raysail.apiserver.kinds.pods.resources import check_pod_resource_name, check_requirements
from raysail.apiserver.kinds.pods.volumes import check_volumes
from raysail.apiserver.kinds.volume_claims import check_claim_template

_DNS_POLICIES: Final = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
_RESTART_POLICIES: Final = ("Always", "OnFailure", "Never")
_MIRROR: Final = "kubernetes.io/config.mirror"
_DELETION_COST: Final = "controller.kubernetes.io/pod-deletion-cost"


def check_template(template: JsonMap, at: str, faults: Faults) -> None:
    """A PodTemplateSpec."""
    metadata, spec = template.get("metadata") or {}, template.get("spec") or {}
    check_labels(metadata.get("labels"), f"{at}.labels", faults)
    check_annotations(metadata.get("annotations"), f"{at}.annotations", faults)
    check_pod_annotations(metadata.get("annotations") or {}, spec, f"{at}.annotations", faults)
    check_pod_spec(spec, f"{at}.spec", faults)
    if spec.get("ephemeralContainers"):
        faults.append(forbidden(f"{at}.spec.ephemeralContainers", "ephemeral containers not allowed in pod template"))


def check_pod_annotations(annotations: JsonMap, spec: JsonMap, at: str, faults: Faults) -> None:
    """Annotations that mean something on Pods."""
    if _MIRROR in annotations and not spec.get("nodeName"):
        text = "must set spec.nodeName if mirror pod annotation is set"
        faults.append(invalid(f"{at}[{_MIRROR}]", annotations[_MIRROR], text))
    cost = annotations.get(_DELETION_COST)
    if cost is not None:
        digits = cost.removeprefix("-")
        proper = digits.isascii() and digits.isdigit() and (digits == "0" or not digits.startswith("0")) and -(2**31) <= int(cost) < 2**31
        if not proper:
            faults.append(invalid(f"{at}[{_DELETION_COST}]", cost, "must be a 32bit integer"))


def check_pod_spec(spec: JsonMap, at: str, faults: Faults, *, pod_name: str = "") -> None:
    """A PodSpec. `pod_name` is empty in templates."""
    if spec.get("terminationGracePeriodSeconds") is None:
        faults.append(required(f"{at}.terminationGracePeriodSeconds"))
    volumes = check_volumes(spec.get("volumes") or [], pod_name, f"{at}.volumes", faults, check_claim=check_claim_template)
    claims = frozenset(claim.get("name", "") for claim in spec.get("resourceClaims") or ())
    _check_resource_claims(spec.get("resourceClaims") or [], f"{at}.resourceClaims", faults)
    containers, starting = spec.get("containers") or [], spec.get("initContainers") or []
    pod = Surroundings(
        volumes,
        claims,
        spec.get("terminationGracePeriodSeconds"),
        spec.get("restartPolicy", ""),
        (spec.get("os") or {}).get("name", ""),
        spec.get("hostUsers") is not False,
    )
    check_containers(containers, pod, f"{at}.containers", faults)
    check_init_containers(starting, containers, pod, f"{at}.initContainers", faults)
    check_ephemeral_containers(spec.get("ephemeralContainers") or [], [*containers, *starting], pod, f"{at}.ephemeralContainers", faults)
    check_requirements(spec.get("resources"), claims, f"{at}.resources", faults, check_name=check_pod_resource_name)
    _check_host_network(spec, at, faults, in_pod=bool(pod_name))
    check_choice(spec.get("restartPolicy"), _RESTART_POLICIES, f"{at}.restartPolicy", faults)
    check_choice(spec.get("dnsPolicy"), _DNS_POLICIES, f"{at}.dnsPolicy", faults)
    check_labels(spec.get("nodeSelector"), f"{at}.nodeSelector", faults)
    _check_security(spec, f"{at}.securityContext", faults)
    check_affinity(spec.get("affinity"), f"{at}.affinity", faults)
    _check_dns(spec, f"{at}.dnsConfig", faults)
    check_readiness_gates(spec.get("readinessGates") or [], f"{at}.readinessGates", faults)
    check_gates(spec.get("schedulingGates") or [], f"{at}.schedulingGates", faults)
    check_spread(spec.get("topologySpreadConstraints") or [], f"{at}.topologySpreadConstraints", faults)
    _check_host_users(spec, at, faults)
    for name in ("serviceAccountName", "nodeName", "priorityClassName"):
        if spec.get(name):
            check_subdomain(spec[name], f"{at}.{name}", faults)
    check_range(spec.get("activeDeadlineSeconds"), 1, MAX_INT32, f"{at}.activeDeadlineSeconds", faults)
    for name in ("hostname", "subdomain"):
        if spec.get(name):
            check_label(spec[name], f"{at}.{name}", faults)
    check_tolerations(spec.get("tolerations") or [], f"{at}.tolerations", faults)
    _check_host_aliases(spec.get("hostAliases") or [], f"{at}.hostAliases", faults)
    if spec.get("runtimeClassName") is not None:
        check_subdomain(spec["runtimeClassName"], f"{at}.runtimeClassName", faults)
    if spec.get("preemptionPolicy") is not None:
        check_choice(spec["preemptionPolicy"], ("PreemptLowerPriority", "Never"), f"{at}.preemptionPolicy", faults)
    if spec.get("overhead") is not None:
        check_requirements({"limits": spec["overhead"]}, claims, f"{at}.overhead", faults)
    if spec.get("os") is not None:
        check_choice(pod.system, ("linux", "windows"), f"{at}.os.name", faults)


def check_only_for_pods(spec: JsonMap, at: str, faults: Faults) -> None:
    """What is asked of Pods, not of templates."""
    for field in ("containers", "initContainers"):
        for index, container in enumerate(spec.get(field) or ()):
            check_image_spaces(container, f"{at}.{field}[{index}]", faults)
    if spec.get("serviceAccountName"):
        return
    for index, volume in enumerate(spec.get("volumes") or ()):
        for place, source in enumerate((volume.get("projected") or {}).get("sources") or ()):
            if source.get("serviceAccountToken") is not None:
                here = f"{at}.volumes[{index}].projected.sources[{place}].serviceAccountToken"
                faults.append(forbidden(here, "must not be specified when serviceAccountName is not set"))


def _check_resource_claims(claims: list[Any], at: str, faults: Faults) -> None:
    seen: set[str] = set()
    for index, claim in enumerate(claims):
        here, name = f"{at}[{index}]", claim.get("name", "")
        if not name:
            faults.append(required(f"{here}.name"))
        elif name in seen:
            faults.append(duplicate(f"{here}.name", name))
        else:
            check_label(name, f"{here}.name", faults)
            seen.add(name)
        given = [field for field in ("resourceClaimName", "resourceClaimTemplateName") if claim.get(field) is not None]
        if len(given) != 1:
            text = (
                "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"
                if not given
                else ("at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified")
            )
            faults.append(invalid(here, dict(claim), text))
        for field in given:
            check_subdomain(claim[field], f"{here}.{field}", faults)


def _check_host_network(spec: JsonMap, at: str, faults: Faults, *, in_pod: bool) -> None:
    if not spec.get("hostNetwork"):
        return
    for index, container in enumerate(spec.get("containers") or ()):
        for place, port in enumerate(container.get("ports") or ()):
            host = port.get("hostPort", 0)
            if (in_pod or host) and host != port.get("containerPort", 0):
                here = f"{at}.containers[{index}].ports[{place}].hostPort"
                faults.append(invalid(here, host, "must match `containerPort` when `hostNetwork` is true"))


def _check_security(spec: JsonMap, at: str, faults: Faults) -> None:
    context = spec.get("securityContext") or {}
    for name in ("fsGroup", "runAsUser", "runAsGroup"):
        check_range(context.get(name), 0, MAX_INT32, f"{at}.{name}", faults)
    for index, group in enumerate(context.get("supplementalGroups") or ()):
        check_range(group, 0, MAX_INT32, f"{at}.supplementalGroups[{index}]", faults)
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        faults.append(invalid(f"{at}.shareProcessNamespace", True, "ShareProcessNamespace and HostPID cannot both be enabled"))
    for field, choices in (
        ("fsGroupChangePolicy", ("Always", "OnRootMismatch")),
        ("supplementalGroupsPolicy", ("Merge", "Strict")),
        ("seLinuxChangePolicy", ("MountOption", "Recursive")),
    ):
        if context.get(field) is not None and context[field] not in choices:
            faults.append(not_supported(f"{at}.{field}", context[field], choices))
    seen: set[str] = set()
    for index, sysctl in enumerate(context.get("sysctls") or ()):
        here, name = f"{at}.sysctls[{index}]", sysctl.get("name", "")
        if not name:
            faults.append(required(f"{here}.name"))
        elif name in seen:
            faults.append(duplicate(f"{here}.name", name))
        seen.add(name)
    check_seccomp(context.get("seccompProfile"), f"{at}.seccompProfile", faults)
    check_seccomp(context.get("appArmorProfile"), f"{at}.appArmorProfile", faults)


def _check_dns(spec: JsonMap, at: str, faults: Faults) -> None:
    config = spec.get("dnsConfig")
    servers = (config or {}).get("nameservers") or []
    if spec.get("dnsPolicy") == "None":
        if config is None:
            faults.append(required(at, "must provide `dnsConfig` when `dnsPolicy` is None"))
            return
        if not servers:
            faults.append(required(f"{at}.nameservers", "must provide at least one DNS nameserver when `dnsPolicy` is None"))
            return
    if config is None:
        return
    if len(servers) > 3:
        faults.append(invalid(f"{at}.nameservers", servers, "must not have more than 3 nameservers"))
    for index, server in enumerate(servers):
        check_ip(server, f"{at}.nameservers[{index}]", faults)
    searches = config.get("searches") or []
    if len(searches) > 32:
        faults.append(invalid(f"{at}.searches", searches, "must not have more than 32 search paths"))
    if len(" ".join(searches)) > 2048:
        faults.append(invalid(f"{at}.searches", searches, "must not have more than 2048 characters (including spaces) in the search list"))
    for index, search in enumerate(searches):
        if search != ".":
            check_subdomain(search.removesuffix(".").replace("_", "a"), f"{at}.searches[{index}]", faults)
    for index, option in enumerate(config.get("options") or ()):
        if not option.get("name"):
            faults.append(required(f"{at}.options[{index}]", "must not be empty"))


def _check_host_users(spec: JsonMap, at: str, faults: Faults) -> None:
    if spec.get("hostUsers") is not False:
        return
    for field, shown in (("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")):
        if spec.get(field):
            faults.append(forbidden(f"{at}.{shown}", "when `hostUsers` is false"))


def _check_host_aliases(aliases: list[Any], at: str, faults: Faults) -> None:
    for index, alias in enumerate(aliases):
        check_ip(alias.get("ip", ""), f"{at}[{index}].ip", faults)
        for place, name in enumerate(alias.get("hostnames") or ()):
            check_subdomain(name, f"{at}[{index}].hostnames[{place}]", faults)

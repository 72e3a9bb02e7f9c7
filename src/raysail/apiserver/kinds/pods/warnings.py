"""Warnings about Pods and templates (pkg/api/pod/warnings.go, pkg/api/node/util.go)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from raysail.api.go_text import quote
from raysail.api.quantity import NANO, canonical, parse_nano
from raysail.apiserver.kinds.fields import JsonMap
from raysail.apiserver.rest.names import label_faults

NODE_LABELS: Final = {
    "beta.kubernetes.io/arch": 'deprecated since v1.14; use "kubernetes.io/arch" instead',
    "beta.kubernetes.io/os": 'deprecated since v1.14; use "kubernetes.io/os" instead',
    "failure-domain.beta.kubernetes.io/region": 'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
    "failure-domain.beta.kubernetes.io/zone": 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
    "beta.kubernetes.io/instance-type": 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
    "app.kubernetes.io/created-by": "deprecated since v1.9",
    "scheduler.alpha.kubernetes.io/preferAvoidPods": "deprecated since v1.22; use Taints and Tolerations instead",
    "node-role.kubernetes.io/master": 'use "node-role.kubernetes.io/control-plane" instead',
}
_ANNOTATIONS: Final = {
    "scheduler.alpha.kubernetes.io/critical-pod": 'non-functional in v1.16+; use the "priorityClassName" field instead',
    "security.alpha.kubernetes.io/sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
    "security.alpha.kubernetes.io/unsafe-sysctls": 'non-functional in v1.11+; use the "sysctls" field instead',
}
_VOLUMES: Final = {
    "photonPersistentDisk": "deprecated in v1.11, non-functional in v1.16+",
    "gitRepo": "deprecated in v1.11, and disabled by default in v1.33+",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "flocker": "deprecated in v1.22, non-functional in v1.25+",
    "storageos": "deprecated in v1.22, non-functional in v1.25+",
    "quobyte": "deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
}
_REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED: Final = "preferredDuringSchedulingIgnoredDuringExecution"


def name_warning(name: str, what: str) -> list[str]:
    """A name that becomes part of hostnames should be a DNS label."""
    faults = label_faults(name)
    if not faults:
        return []
    shown = "[" + " ".join(faults) + "]"
    return [f"metadata.name: {what}, which can result in surprising behavior; a DNS label is recommended: {shown}"]


def pod_warnings(obj: JsonMap) -> list[str]:
    """Of a new Pod."""
    found = name_warning(obj["metadata"].get("name", ""), "this is used in the Pod's hostname")
    return found + _warnings(obj.get("spec") or {}, obj["metadata"], "")


def template_warnings(template: JsonMap, at: str) -> list[str]:
    """Of a Pod template."""
    return _warnings(template.get("spec") or {}, template.get("metadata") or {}, f"{at}.")


def _warnings(spec: JsonMap, metadata: JsonMap, at: str) -> list[str]:
    found = [*_placement(spec, at)]
    annotations = metadata.get("annotations") or {}
    found += [f"{at}metadata.annotations[{key}]: {text}" for key, text in _ANNOTATIONS.items() if key in annotations]
    for index, volume in enumerate(spec.get("volumes") or ()):
        found += [
            f"{at}spec.volumes[{index}].{_shown_volume(kind)}: {text}" for kind, text in _VOLUMES.items() if volume.get(kind) is not None
        ]
    found += _duplicates(spec, at)
    for name in ("memory", "ephemeral-storage"):
        found += _fraction((spec.get("overhead") or {}).get(name), f"{at}spec.overhead[{name}]")
    for where, container in _containers(spec, at):
        resources = container.get("resources") or {}
        for name in ("memory", "ephemeral-storage"):
            for kind in ("limits", "requests"):
                found += _fraction((resources.get(kind) or {}).get(name), f"{where}.resources.{kind}[{name}]")
        found += _hidden_variables(container, where)
    found += _ports(spec, at)
    if (spec.get("terminationGracePeriodSeconds") or 0) < 0:
        found.append(f"{at}spec.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1")
    found += _affinity_selectors(spec, at)
    return found


def _shown_volume(kind: str) -> str:
    return "storageOS" if kind == "storageos" else kind


def _containers(spec: JsonMap, at: str) -> Iterator[tuple[str, JsonMap]]:
    for field in ("initContainers", "containers", "ephemeralContainers"):
        for index, container in enumerate(spec.get(field) or ()):
            yield f"{at}spec.{field}[{index}]", container


def _placement(spec: JsonMap, at: str) -> Iterator[str]:
    for key in spec.get("nodeSelector") or {}:
        if key in NODE_LABELS:
            yield f"{at}spec.nodeSelector[{key}]: {NODE_LABELS[key]}"
    node = (spec.get("affinity") or {}).get("nodeAffinity") or {}
    here = f"{at}spec.affinity.nodeAffinity"
    terms = [
        (f"{here}.{_REQUIRED}.nodeSelectorTerms[{i}]", term)
        for i, term in enumerate((node.get(_REQUIRED) or {}).get("nodeSelectorTerms") or ())
    ]
    terms += [(f"{here}.{_PREFERRED}[{i}].preference", term.get("preference") or {}) for i, term in enumerate(node.get(_PREFERRED) or ())]
    for where, term in terms:
        for index, expression in enumerate(term.get("matchExpressions") or ()):
            key = expression.get("key", "")
            if key in NODE_LABELS:
                yield f"{where}.matchExpressions[{index}].key: {key} is {NODE_LABELS[key]}"
    for index, constraint in enumerate(spec.get("topologySpreadConstraints") or ()):
        where, key = f"{at}spec.topologySpreadConstraints[{index}]", constraint.get("topologyKey", "")
        if key in NODE_LABELS:
            yield f"{where}.topologyKey: {key} is {NODE_LABELS[key]}"
        if constraint.get("labelSelector") is None:
            yield f"{where}.labelSelector: a null labelSelector results in matching no pod"


def _affinity_selectors(spec: JsonMap, at: str) -> Iterator[str]:
    for name in ("podAffinity", "podAntiAffinity"):
        terms = (spec.get("affinity") or {}).get(name) or {}
        here = f"{at}spec.affinity.{name}"
        for index, term in enumerate(terms.get(_REQUIRED) or ()):
            if term.get("labelSelector") is None:
                yield f"{here}.{_REQUIRED}[{index}].labelSelector: a null labelSelector results in matching no pod"
        for index, weighted in enumerate(terms.get(_PREFERRED) or ()):
            if (weighted.get("podAffinityTerm") or {}).get("labelSelector") is None:
                yield f"{here}.{_PREFERRED}[{index}].podAffinityTerm.labelSelector: a null labelSelector results in matching no pod"


def _duplicates(spec: JsonMap, at: str) -> Iterator[str]:
    seen: set[str] = set()
    for index, alias in enumerate(spec.get("hostAliases") or ()):
        ip = alias.get("ip", "")
        if ip in seen:
            yield f"{at}spec.hostAliases[{index}].ip: duplicate ip {quote(ip)}"
        seen.add(ip)
    names: set[str] = set()
    secrets = spec.get("imagePullSecrets") or []
    for index, secret in enumerate(secrets):
        name = secret.get("name", "")
        if name in names:
            yield f"{at}spec.imagePullSecrets[{index}].name: duplicate name {quote(name)}"
        names.add(name)
    for index, secret in enumerate(secrets):
        if not secret.get("name"):
            yield f'{at}spec.imagePullSecrets[{index}].name: invalid empty name ""'


def _fraction(amount: Any, at: str) -> Iterator[str]:
    if amount is not None and parse_nano(amount) % NANO:
        yield f"{at}: fractional byte value {quote(canonical(amount))} is invalid, must be an integer"


def _hidden_variables(container: JsonMap, at: str) -> Iterator[str]:
    seen: set[str] = set()
    for index, variable in enumerate(container.get("env") or ()):
        name, value = variable.get("name", ""), variable.get("value", "")
        reference = f"$({name})"
        if name in seen and (variable.get("valueFrom") is not None or value == reference or reference not in value):
            yield f"{at}.env[{index}]: hides previous definition of {quote(name)}, which may be dropped when using apply"
        seen.add(name)


def _ports(spec: JsonMap, at: str) -> Iterator[str]:
    known: dict[tuple[int, str], list[tuple[str, JsonMap]]] = {}
    for where, container in _containers(spec, at):
        for index, port in enumerate(container.get("ports") or ()):
            here = f"{where}.ports[{index}]"
            address, host = port.get("hostIP", ""), port.get("hostPort", 0)
            others = known.setdefault((port.get("containerPort", 0), port.get("protocol", "")), [])
            for other_at, other in others:
                other_address, other_host = other.get("hostIP", ""), other.get("hostPort", 0)
                if address == other_address and host == other_host:
                    yield f"{here}: duplicate port definition with {other_at}"
                elif not host or not other_host:
                    yield f"{here}: overlapping port definition with {other_at}"
                elif host == other_host and bool(address) != bool(other_address):
                    yield f"{here}: dangerously ambiguous port definition with {other_at}"
            others.append((here, port))
    names: dict[str, str] = {}
    for where, container in _containers(spec, at):
        for index, port in enumerate(container.get("ports") or ()):
            here, name = f"{where}.ports[{index}]", port.get("name", "")
            if name in names:
                other_at = names[name]
                text = f"services and probes that select ports by name will use {other_at}"
                yield f"{here}: duplicate port name {quote(name)} with {other_at}, {text}"
            elif name:
                names[name] = here

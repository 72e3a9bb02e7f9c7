"""What a Pod asks for, as schedulers count it.

From a pod template to amounts: LimitRange defaults and RuntimeClass overhead first, then limits for missing requests, then the sum over
containers, init and sidecar containers, then exclusions and transformations of resource names. Values stay exact (billionths) until the end.
Source: k8s.io/component-helpers/resource/helpers.go (PodRequests), Kueue pkg/workload/resources.go and workload.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from raysail.api.quantity import NANO, QuantityError, parse_nano
from raysail.queue.model.quota import UNLIMITED

Nanos = dict[str, int]
"""Resource name to billionths of its unit."""

PodSpec = Mapping[str, Any]


def quantities(listed: Mapping[str, Any] | None) -> Nanos:
    """A resource list in billionths. What cannot be read counts as nothing: the API refused it before."""
    found: Nanos = {}
    for name, text in (listed or {}).items():
        try:
            found[name] = parse_nano(text)
        except QuantityError:
            found[name] = 0
    return found


def to_amount(resource: str, nanos: int) -> int:
    """Cpu in milli, everything else in whole units, rounded up; saturated at UNLIMITED."""
    unit = NANO // 1000 if resource == "cpu" else NANO
    return min(-(-nanos // unit), UNLIMITED)


def _add(total: Nanos, more: Mapping[str, int]) -> None:
    for name, value in more.items():
        total[name] = total.get(name, 0) + value


def _keep_max(total: Nanos, other: Mapping[str, int]) -> None:
    for name, value in other.items():
        if name not in total or value > total[name]:
            total[name] = value


def pod_requests(spec: PodSpec) -> Nanos:
    """What one Pod occupies: the larger of its containers together and of each init step, plus overhead; pod-level resources override."""
    total: Nanos = {}
    for container in spec.get("containers") or ():
        _add(total, _requests_of(container))
    sidecars: Nanos = {}
    initial: Nanos = {}
    for container in spec.get("initContainers") or ():
        step = _requests_of(container)
        if container.get("restartPolicy") == "Always":
            _add(total, step)
            _add(sidecars, step)
            step = dict(sidecars)
        else:
            _add(step, sidecars)
        _keep_max(initial, step)
    _keep_max(total, initial)
    pod_level = spec.get("resources")
    if pod_level:
        total.update({name: value for name, value in quantities(pod_level.get("requests")).items() if _pod_level(name)})
    _add(total, quantities(spec.get("overhead")))
    return total


def _pod_level(name: str) -> bool:
    return name in ("cpu", "memory") or name.startswith("hugepages-")


def _requests_of(container: Mapping[str, Any]) -> Nanos:
    return quantities((container.get("resources") or {}).get("requests"))


@dataclass(frozen=True, slots=True)
class Transformation:
    """One entry of the configuration's resources.transformations: `input` becomes `outputs` (factor per unit of input, in billionths)."""

    input: str
    outputs: Mapping[str, int]
    replace: bool = False
    multiply_by: str = ""


@dataclass(frozen=True, slots=True)
class ResourceRules:
    """How names of resources are rewritten before quota is looked at."""

    excluded_prefixes: tuple[str, ...] = ()
    transformations: Mapping[str, Transformation] = field(default_factory=dict)
    ignore_undeclared: bool = False

    def apply(self, requests: Nanos) -> Nanos:
        """Without the excluded resources, and with the outputs of transformations."""
        kept = (
            {name: value for name, value in requests.items() if not name.startswith(self.excluded_prefixes)}
            if self.excluded_prefixes
            else requests
        )
        if not any(name in self.transformations for name in kept):
            return kept
        retained: Nanos = {}
        generated: Nanos = {}
        for name, value in kept.items():
            rule = self.transformations.get(name)
            if rule is None:
                retained[name] = value
                continue
            base = value
            if rule.multiply_by and rule.multiply_by in kept:
                base = value * kept[rule.multiply_by] // NANO
            _add(generated, {output: base * factor // NANO for output, factor in rule.outputs.items()})
            if not rule.replace:
                retained[name] = value
        # an output below zero must not reduce a request that was made under that name
        _add(retained, {name: max(0, value) for name, value in generated.items()})
        return retained


NO_RULES = ResourceRules()


def single_pod_amounts(spec: PodSpec, rules: ResourceRules = NO_RULES) -> dict[str, int]:
    """What quota counts for one Pod of this template. Never negative."""
    return {name: max(0, to_amount(name, value)) for name, value in rules.apply(pod_requests(spec)).items()}


@dataclass(frozen=True, slots=True)
class LimitSummary:
    """All LimitRanges of a namespace together, for one type (Container or Pod). Quantities as text, as they were written."""

    max: Mapping[str, Any] = field(default_factory=dict)
    min: Mapping[str, Any] = field(default_factory=dict)
    default: Mapping[str, Any] = field(default_factory=dict)
    default_request: Mapping[str, Any] = field(default_factory=dict)


def summarize_limits(specs: Iterable[Mapping[str, Any]]) -> dict[str, LimitSummary]:
    """LimitRange specs by type: the lowest maximum, the highest minimum, the first default (Kueue pkg/util/limitrange)."""
    found: dict[str, LimitSummary] = {}
    for spec in specs:
        for item in spec.get("limits") or ():
            known = found.get(item.get("type", ""), LimitSummary())
            found[item.get("type", "")] = LimitSummary(
                max=_merge(known.max, item.get("max"), lambda a, b: a if parse_nano(a) <= parse_nano(b) else b),
                min=_merge(known.min, item.get("min"), lambda a, b: a if parse_nano(a) >= parse_nano(b) else b),
                default=_merge(known.default, item.get("default"), lambda a, _: a),
                default_request=_merge(known.default_request, item.get("defaultRequest"), lambda a, _: a),
            )
    return found


def _merge(a: Mapping[str, Any], b: Mapping[str, Any] | None, choose: Any) -> dict[str, Any]:
    merged = dict(a)
    for name, value in (b or {}).items():
        merged[name] = choose(merged[name], value) if name in merged else value
    return merged


def adjusted_template(
    template: dict[str, Any], limits: Mapping[str, LimitSummary] | None = None, overheads: Mapping[str, Mapping[str, Any]] | None = None
) -> dict[str, Any]:
    """The template as the API server will complete its Pods: overhead of its RuntimeClass, LimitRange defaults, limits as missing requests.

    `overheads` is podFixed by RuntimeClass name. The given template is not changed; it is returned itself where nothing is to be added.
    """
    spec: dict[str, Any] = template.get("spec") or {}
    changed: dict[str, Any] = {}
    runtime_class = spec.get("runtimeClassName")
    if runtime_class and not spec.get("overhead") and overheads and overheads.get(runtime_class):
        changed["overhead"] = dict(overheads[runtime_class])
    of_container = (limits or {}).get("Container", LimitSummary())
    of_pod = (limits or {}).get("Pod", LimitSummary())
    for name in ("initContainers", "containers"):
        before: Sequence[dict[str, Any]] = spec.get(name) or ()
        after = [_completed(container, of_container) for container in before]
        if any(new is not old for new, old in zip(after, before, strict=True)):
            changed[name] = after
    if spec.get("resources"):
        whole = _completed({"resources": spec["resources"]}, of_pod)["resources"]
        if whole is not spec["resources"]:
            changed["resources"] = whole
    return {**template, "spec": {**spec, **changed}} if changed else template


def _completed(container: dict[str, Any], defaults: LimitSummary) -> dict[str, Any]:
    resources = container.get("resources") or {}
    limits = resources.get("limits") or {}
    requests = resources.get("requests") or {}
    if not limits and not defaults.default and not defaults.default_request:
        return container
    full_limits = {**defaults.default, **limits}
    full_requests = {**full_limits, **defaults.default_request, **requests}
    if full_limits == limits and full_requests == requests:
        return container
    return {**container, "resources": {**resources, "limits": full_limits, "requests": full_requests}}


_ABOVE_LIMIT = "requests must not exceed its limits"
_ABOVE_MAX = "requests must not be above the limitRange max"
_BELOW_MIN = "requests must not be below the limitRange min"


def resource_errors(spec: PodSpec, path: str) -> list[str]:
    """Requests above limits, as field errors in Kueue's words; `path` names the pod spec."""
    errors = []
    for name in ("initContainers", "containers"):
        for at, container in enumerate(spec.get(name) or ()):
            resources = container.get("resources") or {}
            if above := _greater(quantities(resources.get("requests")), resources.get("limits")):
                errors.append(_invalid(f"{path}.{name}[{at}]", above, _ABOVE_LIMIT))
    if spec.get("resources") and (above := _greater(quantities(spec["resources"].get("requests")), spec["resources"].get("limits"))):
        errors.append(_invalid(f"{path}.resources", above, _ABOVE_LIMIT))
    return errors


def limit_range_errors(spec: PodSpec, limits: Mapping[str, LimitSummary], path: str) -> list[str]:
    """What of the pod spec lies outside the namespace's LimitRanges."""
    errors = []
    of_container = limits.get("Container")
    for name in ("initContainers", "containers") if of_container else ():
        assert of_container is not None  # noqa: S101 - else the loop is empty
        for at, container in enumerate(spec.get(name) or ()):
            resources = container.get("resources") or {}
            asked, capped = quantities(resources.get("requests")), quantities(resources.get("limits"))
            least = {key: min(asked.get(key, capped.get(key, 0)), capped.get(key, asked.get(key, 0))) for key in asked | capped}
            most = {key: max(asked.get(key, 0), capped.get(key, 0)) for key in asked | capped}
            if above := _greater(most, of_container.max):
                errors.append(_invalid(f"{path}.{name}[{at}]", above, _ABOVE_MAX))
            if below := _less(least, of_container.min):
                errors.append(_invalid(f"{path}.{name}[{at}]", below, _BELOW_MIN))
    if of_pod := limits.get("Pod"):
        total = pod_requests(spec)
        if above := _greater(total, of_pod.max):
            errors.append(_invalid(path, above, _ABOVE_MAX))
        if below := _less(total, of_pod.min):
            errors.append(_invalid(path, below, _BELOW_MIN))
    return errors


def _greater(values: Nanos, bounds: Mapping[str, Any] | None) -> list[str]:
    limits = quantities(bounds)
    return sorted(name for name, value in values.items() if name in limits and to_amount(name, value) > to_amount(name, limits[name]))


def _less(values: Nanos, bounds: Mapping[str, Any]) -> list[str]:
    return sorted(
        name for name, least in quantities(bounds).items() if name in values and to_amount(name, values[name]) < to_amount(name, least)
    )


def _invalid(path: str, names: list[str], rule: str) -> str:
    listed = ",".join(f'"{name}"' for name in names)
    return f"{path}: Invalid value: [{listed}]: {rule}"

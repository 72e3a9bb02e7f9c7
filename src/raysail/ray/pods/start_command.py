"""rayStartParams -> the `ray start` command line (KubeRay pod.go: setMissingRayStartParams, generateRayStartCommand, convertParamMap).

The text is part of the contract: clients compare it, so flags are sorted and each stands between spaces as KubeRay writes it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from raysail.api import quantity
from raysail.api.ray import names

StartParams = dict[str, str]
"""Flags of `ray start` without the leading dashes."""

DEFAULT_GCS_PORT: Final = 6379
DEFAULT_AGENT_PORT: Final = 52365
DEFAULT_METRICS_PORT: Final = 8080
_TAKES_TRUE_OR_FALSE: Final = ("log-color", "include-dashboard", "include-log-monitor")
_ACCELERATORS: Final = {"aws.amazon.com/neuroncore": "neuron_cores", "google.com/tpu": "TPU"}
_MIG: Final = re.compile(r"nvidia\.com/mig-\d+g\.\d+gb$")


def gcs_port(head_start_params: Mapping[str, str] | None) -> str:
    """The port at which workers and drivers find the head."""
    return (head_start_params or {}).get("port", str(DEFAULT_GCS_PORT))


def is_gpu(resource: str) -> bool:
    """Whether Kubernetes' resource of that name is a GPU in Ray's eyes (utils.IsGPUResourceKey)."""
    return resource.endswith("gpu") or _MIG.search(resource) is not None


def with_group_resources(params: StartParams, resources: Mapping[str, str] | None) -> None:
    """Adds the group's `resources`, which stand above what the container says."""
    custom: dict[str, float] = {}
    for name, text in (resources or {}).items():
        try:
            amount = quantity.parse(text)
        except quantity.QuantityError:
            continue  # KubeRay skips what it cannot parse; validation has no say in it
        lowered = name.lower()
        if lowered == "cpu":
            params["num-cpus"] = str(amount)
        elif lowered == "memory":
            params["memory"] = str(amount)
        elif is_gpu(lowered):
            params["num-gpus"] = str(amount)
        else:
            custom[name] = quantity.parse_nano(text) / quantity.NANO
    if custom:
        params["resources"] = _quoted(custom)


def with_group_labels(params: StartParams, group_labels: Mapping[str, str] | None) -> None:
    """Adds the group's `labels` as labels of the Ray node."""
    if group_labels:
        params["labels"] = ",".join(f"{key}={group_labels[key]}" for key in sorted(group_labels))


def with_defaults(params: StartParams, node_type: str, *, head_address: str = "") -> None:
    """Adds what KubeRay always passes. `head_address` is host:port of the GCS, for workers."""
    if node_type == names.WORKER:
        params.setdefault("address", head_address)
    else:
        params.setdefault("dashboard-host", "0.0.0.0")  # noqa: S104 - the dashboard of a Pod must be reachable from other Pods
    params.setdefault("metrics-export-port", str(DEFAULT_METRICS_PORT))
    params["block"] = "true"
    params.setdefault("dashboard-agent-listen-port", str(DEFAULT_AGENT_PORT))


def with_container_resources(params: StartParams, resources: Mapping[str, Any] | None) -> None:
    """Infers CPUs, memory and accelerators from the Ray container, where the user has not said them."""
    limits = (resources or {}).get("limits") or {}
    requests = (resources or {}).get("requests") or {}
    if "num-cpus" not in params:
        cpu = next((amount for source in (limits, requests) if (amount := _amount(source, "cpu"))), 0)
        if cpu:
            params["num-cpus"] = str(cpu)
    if "memory" not in params and (memory := _amount(limits, "memory")):
        params["memory"] = str(memory)
    _with_accelerators(params, limits)


def command(params: StartParams, node_type: str) -> str:
    """The command line, with the two spaces between flags that KubeRay leaves."""
    flags = "".join(_flag(option, params[option]) for option in sorted(params))
    return f"ray start --head {flags}" if node_type == names.HEAD else f"ray start {flags}"


def _flag(option: str, argument: str) -> str:
    if argument.lower() in ("true", "false") and option not in _TAKES_TRUE_OR_FALSE:
        return f" --{option} " if argument.lower() == "true" else ""
    return f" --{option}={argument} "


def _with_accelerators(params: StartParams, limits: Mapping[str, Any]) -> None:
    try:
        resources = json.loads(params["resources"].strip("'\"` ")) if "resources" in params else {}
        present = any(ray_name in resources for ray_name in _ACCELERATORS.values())
    except (ValueError, TypeError):
        return  # the user's own `resources` is not JSON: Ray will say so; nothing can be merged into it
    for name in sorted(limits):
        amount = _amount(limits, name)
        if not amount:
            continue
        if "num-gpus" not in params and is_gpu(name):
            params["num-gpus"] = str(amount)
        if name in _ACCELERATORS and not present:
            resources[_ACCELERATORS[name]] = quantity.parse_nano(limits[name]) / quantity.NANO
            params["resources"] = _quoted(resources)
            present = True


def _amount(source: Mapping[str, Any], name: str) -> int:
    value = source.get(name)
    return quantity.parse(value) if value is not None else 0


def _quoted(resources: Mapping[str, float]) -> str:
    whole = {name: int(amount) if amount == int(amount) else amount for name, amount in sorted(resources.items())}
    return f"'{json.dumps(whole, separators=(',', ':'))}'"

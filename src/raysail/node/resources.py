"""What a Pod's containers ask for, in numbers: quality of service, limits, nominal sizes. Pure."""

from __future__ import annotations

from raysail.api.core.containers import Container
from raysail.api.core.pod import Pod
from raysail.api.quantity import parse, parse_milli

OBJECT_STORE_MINIMUM_BYTES = 78643200
"""Ray refuses less (75 MiB)."""


def qos_class(pod: Pod) -> str:
    """Guaranteed, Burstable or BestEffort (pkg/apis/core/v1/helper/qos)."""
    containers = [*(pod.spec.init_containers or ()), *pod.spec.containers]
    guaranteed, anything = True, False
    for container in containers:
        limits, requests = container.resources.limits or {}, container.resources.requests or {}
        for name in ("cpu", "memory"):
            limit, request = limits.get(name), requests.get(name, limits.get(name))
            anything = anything or parse_milli(limit or 0) > 0 or parse_milli(request or 0) > 0
            guaranteed = guaranteed and limit is not None and request is not None and parse_milli(limit) == parse_milli(request)
    return "Guaranteed" if guaranteed and anything else "Burstable" if anything else "BestEffort"


def oom_score_adjustment(pod: Pod, container: Container, machine_memory_bytes: int) -> int:
    """How soon the kernel takes this container when memory runs out, 0 to 1000; as the kubelet orders them, but never below zero (that takes rights)."""
    quality = qos_class(pod)
    if quality == "Guaranteed":
        return 0
    if quality == "BestEffort":
        return 1000
    request = parse((container.resources.requests or {}).get("memory", 0))
    return min(999, max(3, 1000 - 1000 * request // max(1, machine_memory_bytes)))


def memory_limit_bytes(container: Container) -> int:
    """limits.memory; 0 for none."""
    return parse((container.resources.limits or {}).get("memory", 0))


def cpu_request_milli(container: Container) -> int:
    """requests.cpu, else limits.cpu; 0 for none."""
    amounts = container.resources.requests or {}
    return parse_milli(amounts.get("cpu", (container.resources.limits or {}).get("cpu", 0)))


def nominal_cpus(container: Container, default: int) -> int:
    """With how many CPUs a Ray node in this container counts: limit, else request, rounded up; else the default."""
    for amounts in (container.resources.limits, container.resources.requests):
        if amounts and "cpu" in amounts:
            return max(1, parse(amounts["cpu"]))
    return default


def nominal_memory_bytes(container: Container, default: int) -> int:
    """Memory that a Ray node in this container counts with: limit, else request, else the default."""
    for amounts in (container.resources.limits, container.resources.requests):
        if amounts and "memory" in amounts:
            return max(parse(amounts["memory"]), 2 * OBJECT_STORE_MINIMUM_BYTES)
    return default


def object_store_bytes(memory_bytes: int) -> int:
    """Ray's own rule (30 % of the memory), not below what Ray accepts."""
    return max(OBJECT_STORE_MINIMUM_BYTES, memory_bytes * 3 // 10)


def gpu_count(container: Container) -> int:
    """Limits of nvidia.com/gpu."""
    return parse((container.resources.limits or {}).get("nvidia.com/gpu", 0))

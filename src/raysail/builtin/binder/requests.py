"""What a Pod takes from its Node (k8s.io/component-helpers resource/helpers.go, PodRequests): cpu in milli, the rest in whole units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from raysail.api.core import PodSpec
from raysail.api.core.containers import Container
from raysail.api.quantity import Quantity, QuantityError, amount

Amounts = dict[str, int]

DEFAULT_CPU_MILLI: Final = 100
DEFAULT_MEMORY_BYTES: Final = 200 * 1024 * 1024
"""What containers without requests count when Nodes are compared (never when it is asked whether a Pod fits)."""


def amounts(listed: Mapping[str, Quantity] | None) -> Amounts:
    """A resource list as integers. What cannot be read counts as nothing: the API refused it before it came here."""
    found: Amounts = {}
    for name, text in (listed or {}).items():
        try:
            found[name] = amount(name, text)
        except QuantityError:
            found[name] = 0
    return found


def pod_requests(spec: PodSpec) -> Amounts:
    """The larger of all containers together and of each init step, plus overhead; pod-level requests override where given."""
    total: Amounts = {}
    for container in spec.containers:
        _add(total, amounts(container.resources.requests))
    sidecars: Amounts = {}
    initial: Amounts = {}
    for container in spec.init_containers or ():
        step = amounts(container.resources.requests)
        if container.restart_policy == "Always":
            _add(sidecars, step)
            _add(total, step)
            step = dict(sidecars)
        else:
            _add(step, sidecars)
        _raise_to(initial, step)
    _raise_to(total, initial)
    if spec.resources is not None and spec.resources.requests:
        total.update(amounts(spec.resources.requests))
    _add(total, amounts(spec.overhead))
    return total


def comparable_requests(spec: PodSpec, requests: Amounts) -> tuple[int, int]:
    """(cpu milli, memory bytes) by which Nodes are compared: containers that ask for nothing still count a little, so that they spread."""
    containers: list[Container] = spec.containers
    cpu = requests.get("cpu", 0) + DEFAULT_CPU_MILLI * sum("cpu" not in (c.resources.requests or {}) for c in containers)
    memory = requests.get("memory", 0) + DEFAULT_MEMORY_BYTES * sum("memory" not in (c.resources.requests or {}) for c in containers)
    return cpu, memory


def _add(total: Amounts, more: Amounts) -> None:
    for name, value in more.items():
        total[name] = total.get(name, 0) + value


def _raise_to(total: Amounts, least: Amounts) -> None:
    for name, value in least.items():
        total[name] = max(total.get(name, 0), value)

"""Whether a ClusterQueue can admit: the reasons against it, in Kueue's order and words. Source: pkg/cache/scheduler/clusterqueue.go (inactiveReason)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from raysail.queue.model.cluster_queue import ClusterQueue, Flavor

MULTIKUEUE_CONTROLLER = "kueue.x-k8s.io/multikueue"
PROVISIONING_CONTROLLER = "kueue.x-k8s.io/provisioning-request"


@dataclass(frozen=True, slots=True)
class Check:
    """An AdmissionCheck as far as queues care."""

    controller: str
    active: bool


@dataclass(frozen=True, slots=True)
class Activity:
    """The condition Active of a ClusterQueue."""

    active: bool
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a ClusterQueue refers to."""

    flavors: Mapping[str, Flavor] = field(default_factory=dict)
    checks: Mapping[str, Check] = field(default_factory=dict)
    topologies: Collection[str] = ()


READY = Activity(True, "Ready", "Can admit new workloads")
TERMINATING = Activity(False, "Terminating", "Can't admit new workloads; clusterQueue is terminating")


def activity_of(queue: ClusterQueue, around: Surroundings, *, terminating: bool = False) -> Activity:
    """The first reason that applies names the condition; the message lists all."""
    if terminating:
        return TERMINATING
    reasons: list[tuple[str, str]] = []
    if queue.stop_policy in ("Hold", "HoldAndDrain"):
        reasons.append(("Stopped", "is stopped"))
    ordered_flavors = [flavor for group in queue.groups for flavor in group.flavors]
    missing = [flavor for flavor in ordered_flavors if flavor not in around.flavors]
    if missing:
        reasons.append(("FlavorNotFound", f"references missing ResourceFlavor(s): {','.join(missing)}"))
    reasons += _check_reasons(queue, around)
    if not any(around.checks[name].controller == MULTIKUEUE_CONTROLLER for name in queue.checks if name in around.checks):
        for flavor in ordered_flavors:
            topology = around.flavors[flavor].topology_name if flavor in around.flavors else ""
            if topology and topology not in around.topologies:
                reasons.append(("TopologyNotFound", f'there is no Topology "{topology}" for TAS flavor "{flavor}"'))
    if not reasons:
        return READY
    return Activity(False, reasons[0][0], f"Can't admit new workloads: {', '.join(message for _, message in reasons)}.")


def _check_reasons(queue: ClusterQueue, around: Surroundings) -> list[tuple[str, str]]:
    reasons = []
    missing = sorted(name for name in queue.checks if name not in around.checks)
    known = {name: around.checks[name] for name in sorted(queue.checks) if name in around.checks}
    inactive = [name for name, check in known.items() if not check.active]
    remote = [name for name, check in known.items() if check.controller == MULTIKUEUE_CONTROLLER]
    per_flavor = [name for name in remote if queue.checks[name]]
    provisioning = [name for name, check in known.items() if check.controller == PROVISIONING_CONTROLLER]
    if missing:
        reasons.append(("AdmissionCheckNotFound", f"references missing AdmissionCheck(s): {','.join(missing)}"))
    if inactive:
        reasons.append(("AdmissionCheckInactive", f"references inactive AdmissionCheck(s): {','.join(inactive)}"))
    if len(remote) > 1:
        text = f"Cannot use multiple MultiKueue AdmissionChecks on the same ClusterQueue, found: {','.join(remote)}"
        reasons.append(("MultipleMultiKueueAdmissionChecks", text))
    if per_flavor:
        text = f"Cannot specify MultiKueue AdmissionCheck per flavor, found: {','.join(per_flavor)}"
        reasons.append(("MultiKueueAdmissionCheckAppliedPerFlavor", text))
    if remote and provisioning:
        found = f"{','.join(remote)}, {','.join(provisioning)}"
        text = f"Cannot use both MultiKueue and ProvisioningRequest AdmissionChecks together, found: {found}"
        reasons.append(("MultiKueueWithProvisioningRequest", text))
    return reasons

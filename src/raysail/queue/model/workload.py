"""A Workload as the planner sees it: who, how urgent, what it asks for, what it holds.

Built once per version of the object; a cycle changes only what it learned (`last_scan`, `cluster_queue`).
Source: Kueue pkg/workload/workload.go (Info, totalRequestsFrom..., GetQueueOrderTimestamp, computeSchedulingHash).
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping, Sequence, Set
from typing import Any, Final

import msgspec

from raysail.api import conditions
from raysail.api.kueue import Workload, names
from raysail.api.meta import Condition, parse_time
from raysail.queue.model.quota import Amounts
from raysail.queue.model.requests import NO_RULES, LimitSummary, ResourceRules, adjusted_template, quantities, single_pod_amounts, to_amount
from raysail.queue.topology.assignment import TopologyAssignment
from raysail.queue.topology.hosts import HostRules
from raysail.queue.topology.world import DomainUse, uses_of

ADMISSION_GATED_BY: Final = "kueue.x-k8s.io/admission-gated-by"
ALLOWED_FLAVORS: Final = "kueue.x-k8s.io/workload-allowed-resource-flavors"
JOB_UID_LABEL: Final = "kueue.x-k8s.io/job-uid"
PRIORITY_BOOST: Final = "kueue.x-k8s.io/priority-boost"


class PodSetRequests:
    """What the Pods of one pod set ask for together, and the flavors they were given (empty while pending)."""

    __slots__ = ("count", "delayed", "flavors", "name", "requests", "topology")

    def __init__(self, name: str, count: int, requests: dict[str, int], flavors: dict[str, str] | None = None) -> None:
        self.name = name
        self.count = count
        self.requests = requests
        self.flavors: dict[str, str] = flavors or {}
        self.topology: TopologyAssignment | None = None
        """The places of its Pods, where topology placed them."""
        self.delayed = ""
        """Pending: places are found once the admission checks are ready. Ready: they were."""

    def scaled_to(self, count: int) -> PodSetRequests:
        """The same for another number of Pods. What has its places keeps its number."""
        if not self.count or count == self.count or self.topology is not None:
            same = PodSetRequests(self.name, self.count, dict(self.requests), dict(self.flavors))
            same.topology, same.delayed = self.topology, self.delayed
            return same
        scaled = {resource: amount // self.count * count for resource, amount in self.requests.items()}
        return PodSetRequests(self.name, count, scaled, dict(self.flavors))


class PodSetShape:
    """What of a pod set's template decides where it may run. `spec` is the pod spec as completed by LimitRanges."""

    __slots__ = ("_host_rules", "_one_pod", "count", "min_count", "name", "spec", "topology_request")

    def __init__(
        self, name: str, count: int, min_count: int | None, spec: dict[str, Any], topology_request: Mapping[str, Any] | None
    ) -> None:
        self.name = name
        self.count = count
        self.min_count = min_count
        self.spec = spec
        self.topology_request = topology_request
        self._one_pod: dict[str, int] | None = None
        self._host_rules: HostRules | None = None

    @property
    def one_pod(self) -> dict[str, int]:
        """What one Pod asks for on its node: before anything is renamed or left out for quota."""
        if self._one_pod is None:
            self._one_pod = single_pod_amounts(self.spec)
        return self._one_pod

    @property
    def host_rules(self) -> HostRules:
        """What it says about its node."""
        if self._host_rules is None:
            self._host_rules = HostRules.of_spec(self.spec)
        return self._host_rules


class FlavorScan:
    """How far the flavors were tried the last time: per pod set, resource to index (-1: all tried, start over)."""

    __slots__ = ("cycle", "generation", "shape_hash", "tried")

    def __init__(self, tried: list[dict[str, int]], generation: int, cycle: int, shape_hash: str) -> None:
        self.tried = tried
        self.generation = generation
        self.cycle = cycle
        self.shape_hash = shape_hash

    def next_flavor(self, pod_set: int, resource: str) -> int:
        """Where the scan for that resource goes on."""
        if pod_set >= len(self.tried):
            return 0
        return self.tried[pod_set].get(resource, -1) + 1

    def flavors_left(self) -> bool:
        """Whether some resource has flavors that were not tried yet."""
        return any(index != -1 for of_pod_set in self.tried for index in of_pod_set.values())

    def is_of(self, shape_hash: str) -> bool:
        """Whether it was made for that shape (an unknown one matches any)."""
        return not self.shape_hash or not shape_hash or self.shape_hash == shape_hash

    def outdated(self, generation: int, cycle: int, shape_hash: str, *, keep_scan: bool = True) -> bool:
        """Whether the scan says nothing about the present: another shape, or quota was freed (and, to keep it, a cycle lies between)."""
        if keep_scan:
            if not self.is_of(shape_hash):
                return True
            if cycle - self.cycle <= 1:
                return False
        return generation > self.generation


class WorkloadInfo:
    """One Workload and what scheduling needs of it. Times are seconds since the epoch."""

    __slots__ = (
        "_held_keys",
        "_reserved_at",
        "_topology_uses",
        "_usage",
        "cluster_queue",
        "created",
        "evaluated_generation",
        "evicting",
        "job_uid",
        "key",
        "last_scan",
        "local_queue",
        "local_queue_usage",
        "name",
        "namespace",
        "nomination",
        "obj",
        "ordered_since",
        "pod_sets",
        "priority",
        "second_pass",
        "shape_hash",
        "shapes",
        "uid",
    )

    def __init__(
        self,
        obj: Workload,
        rules: ResourceRules = NO_RULES,
        limits: Mapping[str, LimitSummary] | None = None,
        overheads: Mapping[str, Mapping[str, Any]] | None = None,
        *,
        order_by_eviction: bool = True,
        by_priority: bool = True,
        priority_boost: bool = False,
    ) -> None:
        self.obj = obj
        self.namespace = obj.metadata.namespace
        self.name = obj.metadata.name
        self.key = f"{self.namespace}/{self.name}"
        self.uid = obj.metadata.uid
        self.job_uid = (obj.metadata.labels or {}).get(JOB_UID_LABEL, "")
        self.local_queue = obj.spec.queue_name or ""
        self.priority = (obj.spec.priority or 0) + (boost_of(obj) if priority_boost else 0)
        self.created = seconds(obj.metadata.creation_timestamp)
        self.ordered_since = queue_order_time(obj, by_eviction=order_by_eviction, by_priority=by_priority)
        admission = obj.status.admission
        self.cluster_queue = (admission.cluster_queue or "") if admission else ""
        self.shapes = [
            PodSetShape(
                pod_set.name or "main",
                pod_set.count,
                pod_set.min_count,
                adjusted_template(pod_set.template, limits, overheads).get("spec") or {},
                msgspec.to_builtins(pod_set.topology_request) if pod_set.topology_request is not None else None,
            )
            for pod_set in obj.spec.pod_sets or ()
        ]
        self.pod_sets = _held(obj) if admission else [_asked(shape, obj, rules) for shape in self.shapes]
        self.shape_hash = shape_hash(self)
        self.last_scan: FlavorScan | None = None
        self.evaluated_generation = 0
        self.second_pass = 0
        self.local_queue_usage: float | None = None
        self.nomination: dict[str, dict[str, str]] | None = None
        self.evicting = False
        """Its eviction was decided but is not in `obj` yet."""
        self._usage: Amounts | None = None
        self._held_keys: frozenset[tuple[str, str]] | None = None
        self._reserved_at: float | None = None
        self._topology_uses: list[DomainUse] | None = None

    def __repr__(self) -> str:
        return f"WorkloadInfo({self.key})"

    def usage(self) -> Amounts:
        """What it holds: assigned amounts per flavor and resource."""
        if self._usage is None:
            held: Amounts = {}
            for pod_set in self.pod_sets:
                for resource, amount in pod_set.requests.items():
                    flavor = pod_set.flavors.get(resource)
                    if flavor:
                        held[flavor, resource] = held.get((flavor, resource), 0) + amount
            self._usage = held
        return self._usage

    def topology_uses(self) -> list[DomainUse]:
        """What it holds of the topology: Pods by flavor and domain."""
        if self._topology_uses is None:
            self._topology_uses = []
            for pod_set in self.pod_sets:
                if pod_set.topology is None:
                    continue
                shape = next((shape for shape in self.shapes if shape.name == pod_set.name), None)
                if shape is not None:
                    one = shape.one_pod
                else:
                    one = {resource: amount // max(1, pod_set.count) for resource, amount in pod_set.requests.items()}
                self._topology_uses += uses_of(pod_set.flavors.values(), pod_set.topology, one)
        return self._topology_uses

    @property
    def is_elastic(self) -> bool:
        """Whether its job grows and shrinks by slices."""
        return (self.obj.metadata.annotations or {}).get(names.ELASTIC_JOB_ANNOTATION) == "true"

    def holding(self, cluster_queue: str, pod_sets: list[PodSetRequests]) -> WorkloadInfo:
        """The same workload once these flavors are its own, before the API says so."""
        held = copy.copy(self)
        held.cluster_queue = cluster_queue
        held.pod_sets = pod_sets
        held._usage = None
        held._held_keys = None
        held._topology_uses = None
        return held

    def uses(self, keys: Set[tuple[str, str]]) -> bool:
        """Whether any of these flavors and resources were assigned to it."""
        if self._held_keys is None:
            self._held_keys = frozenset((flavor, resource) for pod_set in self.pod_sets for resource, flavor in pod_set.flavors.items())
        return not self._held_keys.isdisjoint(keys)

    def can_shrink(self) -> bool:
        """Whether partial admission is possible: some pod set has fewer as its minimum."""
        return any(shape.min_count is not None and shape.count > shape.min_count for shape in self.shapes)

    def is_evicted(self) -> bool:
        """Whether it is on its way out."""
        return self.evicting or conditions.is_true(self.obj.status.conditions, "Evicted")

    def reserved_since(self, now: float) -> float:
        """When quota was reserved; `now` where that is not recorded yet."""
        if self._reserved_at is None:
            found = conditions.find(self.obj.status.conditions, "QuotaReserved")
            self._reserved_at = seconds(found.last_transition_time) if found is not None and found.status == "True" else -1.0
        return self._reserved_at if self._reserved_at >= 0 else now


def boost_of(obj: Workload) -> int:
    """The priority-boost annotation (Kueue: alpha), an int32; what is none counts as 0."""
    text = (obj.metadata.annotations or {}).get(PRIORITY_BOOST, "")
    try:
        boost = int(text) if text else 0
    except ValueError:
        return 0
    return boost if -(2**31) <= boost < 2**31 else 0


def seconds(text: str | None) -> float:
    """RFC 3339 text as seconds since the epoch; 0 for none."""
    return parse_time(text).timestamp() if text else 0.0


def queue_order_time(obj: Workload, *, by_eviction: bool = True, by_priority: bool = True) -> float:
    """The time by which equal priorities are ordered: creation, or when a timeout (if configured so) or a check put it back.

    Where priority does not decide between queues (`by_priority` false), a workload that was reclaimed by a borrower goes behind that one.
    """
    evicted = conditions.find(obj.status.conditions, "Evicted")
    if evicted is not None and evicted.status == "True":
        if by_eviction and evicted.reason == "PodsReadyTimeout":
            return seconds(evicted.last_transition_time)
        if evicted.reason == "AdmissionCheck":
            return seconds(evicted.last_transition_time)
    if not by_priority:
        preempted = conditions.find(obj.status.conditions, "Preempted")
        if preempted is not None and preempted.status == "True" and preempted.reason == "InCohortReclaimWhileBorrowing":
            return seconds(preempted.last_transition_time) + 0.001
    return seconds(obj.metadata.creation_timestamp)


def has_reservation(obj: Workload) -> bool:
    """Whether it holds quota."""
    return conditions.is_true(obj.status.conditions, "QuotaReserved")


def is_admitted(obj: Workload) -> bool:
    """Whether its job may run."""
    return conditions.is_true(obj.status.conditions, "Admitted")


def is_finished(obj: Workload) -> bool:
    """Whether it ended."""
    return conditions.is_true(obj.status.conditions, "Finished")


def is_active(obj: Workload) -> bool:
    """spec.active, true unless it says false."""
    return obj.spec.active is not False


def is_on_hold(obj: Workload) -> bool:
    """Whether its job gave the reservation back on purpose (a StatefulSet scaled to zero)."""
    found = conditions.find(obj.status.conditions, "QuotaReserved")
    return found is not None and found.status == "False" and found.reason == "OnHold"


def admission_gates(obj: Workload) -> str:
    """Who still gates its admission, as written; empty: nobody."""
    return (obj.metadata.annotations or {}).get(ADMISSION_GATED_BY, "")


def may_be_queued(obj: Workload) -> bool:
    """Whether it belongs into a queue at all."""
    return (
        not admission_gates(obj)
        and not is_finished(obj)
        and is_active(obj)
        and not has_reservation(obj)
        and not is_on_hold(obj)
        and not conditions.is_true(obj.status.conditions, "WaitingForReplacementPods")
    )


def counts_as_usage(obj: Workload) -> bool:
    """Whether its reservation counts against the quota: until it is given back, also while a deactivated job is still stopping."""
    return has_reservation(obj) and not is_finished(obj) and obj.status.admission is not None


def backoff_expired(obj: Workload, now: float) -> bool:
    """Whether nothing keeps it from being tried again: not held back by Requeued=False, and requeueAt has passed."""
    if conditions.is_false(obj.status.conditions, "Requeued"):
        return False
    state = obj.status.requeue_state
    return state is None or not state.requeue_at or now >= seconds(state.requeue_at)


def has_closed_preemption_gate(obj: Workload) -> bool:
    """Whether it must not preempt for now: a gate of the spec that status does not show as Open."""
    positions = {gate.name: gate.position for gate in obj.status.preemption_gates or ()}
    return any(positions.get(gate.name, "Closed") == "Closed" for gate in obj.spec.preemption_gates or ())


def check_states(obj: Workload) -> dict[str, str]:
    """Name of each admission check to its state."""
    return {check.name: check.state for check in obj.status.admission_checks or ()}


def find_condition(obj: Workload, type_: str) -> Condition | None:
    """The condition of that type."""
    return conditions.find(obj.status.conditions, type_)


def counts_after_reclaim(obj: Workload) -> dict[str, int]:
    """Pods of each pod set that still need their quota."""
    counts = {pod_set.name or "main": pod_set.count for pod_set in obj.spec.pod_sets or ()}
    for reclaimed in obj.status.reclaimable_pods or ():
        if reclaimed.name in counts:
            counts[reclaimed.name] -= min(reclaimed.count, counts[reclaimed.name])
    return counts


def limited_reclaim(obj: Workload, reclaimed: Mapping[str, int]) -> dict[str, int]:
    """Pods that a job says have ended, by pod set; never more than the pod set has."""
    sizes = {pod_set.name or "main": pod_set.count for pod_set in obj.spec.pod_sets or ()}
    return {name: min(count, sizes.get(name, count)) for name, count in reclaimed.items()}


def reclaimed_pods(obj: Workload) -> dict[str, int]:
    """status.reclaimablePods by pod set."""
    return {each.name: each.count for each in obj.status.reclaimable_pods or ()}


def priority_changed(old: WorkloadInfo, new: WorkloadInfo) -> bool:
    """Whether its WorkloadPriorityClass, or what that is worth, is another now. Priorities of Pods do not change."""
    before, after = old.obj.spec.priority_class_ref, new.obj.spec.priority_class_ref
    if (before is not None and before.kind == "PriorityClass") or after is None or after.kind != "WorkloadPriorityClass":
        return False
    return (bool(after.name) and (before is None or before.name != after.name)) or old.priority != new.priority


def _asked(shape: PodSetShape, obj: Workload, rules: ResourceRules) -> PodSetRequests:
    count = counts_after_reclaim(obj).get(shape.name, shape.count) if obj.status.reclaimable_pods else shape.count
    return PodSetRequests(shape.name, count, {name: amount * count for name, amount in single_pod_amounts(shape.spec, rules).items()})


def _held(obj: Workload) -> list[PodSetRequests]:
    assert obj.status.admission is not None  # noqa: S101 - the caller looked
    counts = counts_after_reclaim(obj)
    totals = {pod_set.name or "main": pod_set.count for pod_set in obj.spec.pod_sets or ()}
    held = []
    for given in obj.status.admission.pod_set_assignments or ():
        name = given.name or "main"
        count = given.count if given.count is not None else totals.get(name, 0)
        requests = {resource: to_amount(resource, value) for resource, value in quantities(given.resource_usage).items()}
        found = PodSetRequests(name, count, requests, dict(given.flavors or {}))
        if given.topology_assignment is not None:
            found.topology = TopologyAssignment.from_api(msgspec.to_builtins(given.topology_assignment))
        found.delayed = given.delayed_topology_request or ""
        left = counts.get(name, 0)
        if left < count:
            found.requests = {resource: amount // count * left for resource, amount in requests.items()}
            found.count = left
        held.append(found)
    return held


def spec_shape(spec: Mapping[str, Any]) -> dict[str, Any]:
    """What of a pod spec matters to scheduling; workloads (and pods of a group) with equal shapes are interchangeable."""
    shape: dict[str, Any] = {
        "initContainers": _container_shapes(spec.get("initContainers")),
        "containers": _container_shapes(spec.get("containers")),
        "nodeSelector": spec.get("nodeSelector"),
        "affinity": spec.get("affinity"),
        "tolerations": spec.get("tolerations"),
        "runtimeClassName": spec.get("runtimeClassName"),
        "priority": spec.get("priority"),
        "topologySpreadConstraints": spec.get("topologySpreadConstraints"),
        "overhead": spec.get("overhead"),
        "resourceClaims": spec.get("resourceClaims"),
    }
    if spec.get("resources"):
        shape["resources"] = spec["resources"].get("requests")
    return shape


def _container_shapes(containers: Sequence[Mapping[str, Any]] | None) -> list[dict[str, Any]] | None:
    if not containers:
        return None
    return [{"resources": {"requests": (c.get("resources") or {}).get("requests")}, "ports": c.get("ports")} for c in containers]


def shape_hash(info: WorkloadInfo) -> str:
    """Equal for workloads that the planner must treat alike: shape, effective counts and requests, priority."""
    pod_sets = [
        {
            "name": shape.name,
            "spec": spec_shape(shape.spec),
            "count": info.pod_sets[at].count if at < len(info.pod_sets) else shape.count,
            "requests": info.pod_sets[at].requests if at < len(info.pod_sets) else None,
            "minCount": shape.min_count,
            "topologyRequest": shape.topology_request,
        }
        for at, shape in enumerate(info.shapes)
    ]
    shape: dict[str, Any] = {"podSets": pod_sets, "priority": info.priority}
    allowed = (info.obj.metadata.annotations or {}).get(ALLOWED_FLAVORS)
    if allowed is not None:
        shape["allowedFlavors"] = allowed
    text = msgspec.json.encode(shape, order="deterministic")
    return hashlib.sha256(text).hexdigest()[:16]

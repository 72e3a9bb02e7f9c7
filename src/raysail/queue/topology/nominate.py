"""Topology of one workload in one ClusterQueue: what its pod sets ask for once they have flavors, and what the answer means for the assignment.

A placement that fails now but would do in an empty cluster makes the assignment one that preempts; one that fails even then makes it unfit.
Source: Kueue pkg/scheduler/flavorassigner/tas_flavorassigner.go, flavorassigner.go (end of assignFlavors, ComputeTASNetUsage),
pkg/scheduler/scheduler.go (updateAssignmentForTAS).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from raysail.api.kueue.workload import DELAYED_TOPOLOGY_PENDING, DELAYED_TOPOLOGY_READY
from raysail.queue.model.cluster_queue import ClusterQueue, Flavor
from raysail.queue.model.podset import PodSetConflictError, PodSetInfo
from raysail.queue.model.workload import PodSetShape, WorkloadInfo, has_reservation, is_admitted
from raysail.queue.planner.assignment import Assignment, Mode, NoFit, PodSetAssignment
from raysail.queue.topology.assignment import TopologyAssignment
from raysail.queue.topology.find import Finder, Held, Placed, Usage
from raysail.queue.topology.hosts import HostRules
from raysail.queue.topology.request import PlacementRequest, is_explicit
from raysail.queue.topology.world import DomainUse, Topologies, uses_of

MULTIKUEUE: Final = "kueue.x-k8s.io/multikueue"
PROVISIONING: Final = "kueue.x-k8s.io/provisioning-request"

Requests = dict[str, list[PlacementRequest]]
"""Flavor to what is to be placed there."""


class TopologyStep:
    """Placement for one workload in one queue. `controllers` is the controller of each admission check; `replaced` the slice it replaces."""

    def __init__(
        self,
        info: WorkloadInfo,
        queue: ClusterQueue,
        topologies: Topologies,
        flavors: Mapping[str, Flavor],
        controllers: Mapping[str, str] | None = None,
        replaced: WorkloadInfo | None = None,
    ) -> None:
        self.info = info
        self.queue = queue
        self.topologies = topologies
        self.profile = topologies.profile
        self.controllers = controllers or {}
        self.replaced = replaced
        self.only_topology = self.profile.enabled and only_topology(queue, flavors)
        explicit = self.profile.enabled and any(is_explicit(shape.topology_request) for shape in info.shapes)
        self.wanted = self.only_topology or explicit
        """Whether any pod set is to be placed at all."""
        self.unhealthy = [node.name for node in info.obj.status.unhealthy_nodes or ()]

    # what is asked for

    def requests(self, assignment: Assignment) -> Requests:
        """What is to be placed under these flavors. Marks pod sets whose placement waits for a check, and those that cannot be placed."""
        found: Requests = {}
        for shape in self.info.shapes if self.wanted else ():
            if not self.only_topology and not is_explicit(shape.topology_request):
                continue
            given = _of(assignment, shape.name)
            if given is None or given.error or not given.count:
                continue
            if given.topology is not None and not self._on_unhealthy(given.topology):
                continue
            previous = None
            if self.profile.elastic and self.info.is_elastic:
                fault = _elastic_fault(shape)
                if fault:
                    _fail(assignment, given, fault)
                    continue
                previous = self._before(shape.name)
            request = self._request(assignment, given, shape, previous)
            if request is not None:
                found.setdefault(request.flavor, []).append(request)
        return found

    def _request(
        self, assignment: Assignment, given: PodSetAssignment, shape: PodSetShape, previous: TopologyAssignment | None
    ) -> PlacementRequest | None:
        flavors = sorted({chosen.flavor for chosen in given.flavors.values() if self.topologies.has(chosen.flavor)})
        fault = ""
        if not any(self.topologies.has(flavor) for flavor in self.queue.all_flavors()):
            fault = "workload requires Topology, but there is no TAS cache information"
        elif not flavors:
            fault = "no TAS flavor assigned"
        elif len(flavors) > 1:
            fault = f"more than one TAS flavor assigned: {', '.join(flavors)}"
        if fault:
            _fail(assignment, given, fault)
            return None
        if self._is_delayed(flavors[0]):
            given.delayed = DELAYED_TOPOLOGY_PENDING
            return None
        rules, fault = self._rules(shape)
        request = PlacementRequest(
            shape.name,
            given.count,
            shape.one_pod,
            shape.topology_request,
            rules,
            flavor=flavors[0],
            previous=previous,
        )
        request.fault = fault
        return request

    def _is_delayed(self, flavor: str) -> bool:
        """Whether places are found elsewhere (on the worker cluster) or only once the nodes are there."""
        kinds = {name: self.controllers.get(name, "") for name in self.queue.checks}
        if MULTIKUEUE in kinds.values():
            return True
        if has_reservation(self.info.obj):
            return False
        return any(kinds[name] == PROVISIONING and (not only or flavor in only) for name, only in self.queue.checks.items())

    def _rules(self, shape: PodSetShape) -> tuple[HostRules, str]:
        """What the template says about nodes, with what Ready admission checks add to it; and what is wrong with that."""
        if not any(check.pod_set_updates for check in self.info.obj.status.admission_checks or ()):
            return shape.host_rules, ""
        info = PodSetInfo(
            shape.name,
            shape.count,
            node_selector=dict(shape.spec.get("nodeSelector") or {}),
            tolerations=list(shape.spec.get("tolerations") or []),
        )
        for check in self.info.obj.status.admission_checks or ():
            for update in (check.pod_set_updates or ()) if check.state == "Ready" else ():
                if update.name == shape.name:
                    tolerations: list[dict[str, Any]] = msgspec.to_builtins(update.tolerations or [])
                    try:
                        info.merge(PodSetInfo(shape.name, 0, node_selector=dict(update.node_selector or {}), tolerations=tolerations))
                    except PodSetConflictError as error:
                        return HostRules(), f"invalid podSetUpdate for PodSet {shape.name}, error: {error}"
        return HostRules(info.tolerations, info.node_selector, (shape.spec.get("affinity") or {}).get("nodeAffinity")), ""

    def _on_unhealthy(self, assignment: TopologyAssignment) -> bool:
        return any(domain.values[-1] in self.unhealthy for domain in assignment.domains)

    def _before(self, pod_set: str) -> TopologyAssignment | None:
        held = self.replaced.pod_sets if self.replaced is not None else ()
        return next((old.topology for old in held if old.name == pod_set), None)

    # where it goes

    def find(self, requests: Requests, *, empty: bool = False) -> Placed:
        """Places for all of them as things are now; `empty`: as if no workload that topology placed were there."""
        result = Placed()
        shared: Usage = {}
        held = Held(
            self.unhealthy, {each.name: each.topology for each in self.info.pod_sets if each.topology is not None}, self._is_one_pod()
        )
        for flavor in sorted(requests):
            topology = self.topologies.flavor(flavor)
            if topology is None:
                continue
            share = self.profile.overlapping and topology.tree.lowest_is_host
            finder = Finder(topology, self.profile, held=held, assumed=shared if share else None, empty=empty)
            placed = finder.find(requests[flavor])
            result.assignments.update(placed.assignments)
            if placed.failed and not result.failed:
                result.failed, result.reason, result.flavor = placed.failed, placed.reason, flavor
        return result

    def _is_one_pod(self) -> bool:
        meta = self.info.obj.metadata
        owners = meta.owner_references or ()
        if len(owners) != 1 or (meta.annotations or {}).get("kueue.x-k8s.io/is-group-workload") == "true":
            return False
        return owners[0].kind == "Pod" and owners[0].api_version == "v1"

    def complete(self, assignment: Assignment) -> None:
        """Once flavors are chosen: finds places, or says that others would have to go, or that it never fits."""
        if not self.wanted or assignment.mode() is Mode.NO_FIT:
            return
        assignment.by_hostname_prefix = self.profile.hostname_prefix
        requests = self.requests(assignment)
        if assignment.mode() is Mode.FIT:
            placed = self.find(requests)
            if placed.failed:
                given = _of(assignment, placed.failed)
                if given is not None:
                    given.reasons.append(placed.reason)
                _set_mode(assignment, placed.failed, Mode.PREEMPT)
            else:
                self._take(assignment, placed)
        if assignment.mode() is Mode.PREEMPT and not self.unhealthy:
            placed = self.find(requests, empty=True)
            if placed.failed:
                _mark_attempt(assignment, placed.failed, placed.flavor)
                _set_mode(assignment, placed.failed, Mode.NO_FIT)
            else:  # quota may be there and yet lie in pieces: others may have to move for it
                for request in (request for listed in requests.values() for request in listed):
                    _set_mode(assignment, request.name, Mode.PREEMPT)

    def reserve(self, assignment: Assignment, *, victims: bool) -> None:
        """For an assignment that preempts: the places it will have without its victims, which are kept from others in this round.

        The victims are gone from the world by now. Without any: places in an empty cluster, so that nothing slips in before what it waits for.
        """
        if self.wanted and assignment.mode() is Mode.PREEMPT and not self._replaces_a_node():
            self._take(assignment, self.find(self.requests(assignment), empty=not victims))

    def _replaces_a_node(self) -> bool:
        held = (each.topology for each in self.info.pod_sets)
        return bool(self.unhealthy) and is_admitted(self.info.obj) and any(each is not None and self._on_unhealthy(each) for each in held)

    def _take(self, assignment: Assignment, placed: Placed) -> None:
        for name, found in placed.assignments.items():
            given = _of(assignment, name)
            if given is None:
                continue
            given.topology = found
            if found is not None and given.delayed:
                given.delayed = DELAYED_TOPOLOGY_READY

    def net_uses(self, assignment: Assignment) -> list[DomainUse]:
        """What the assignment takes beyond what the workload holds already."""
        uses: list[DomainUse] = []
        for given in assignment.pod_sets if self.wanted else ():
            if given.topology is None:
                continue
            flavors = {chosen.flavor for chosen in given.flavors.values() if self.topologies.has(chosen.flavor)}
            shape = next((shape for shape in self.info.shapes if shape.name == given.name), None)
            if len(flavors) != 1 or shape is None:
                continue
            held = next((each.topology for each in self.info.pod_sets if each.name == given.name), None)
            before: dict[tuple[str, ...], int] = {}
            for domain in held.domains if held is not None else ():
                before[domain.values] = before.get(domain.values, 0) + domain.count
            for use, domain in zip(uses_of(flavors, given.topology, shape.one_pod), given.topology.domains, strict=True):
                more = domain.count - before.get(domain.values, 0)
                if more > 0:
                    uses.append(use._replace(pods=more))
        return uses


def only_topology(queue: ClusterQueue, flavors: Mapping[str, Flavor]) -> bool:
    """Whether all flavors of the queue have a topology: then every workload is placed by it."""
    names = queue.all_flavors()
    return bool(names) and all(name in flavors and flavors[name].topology_name for name in names)


def _elastic_fault(shape: PodSetShape) -> str:
    request = shape.topology_request or {}
    for kind in ("required", "preferred"):
        if request.get(kind) is not None:
            return f"{kind} topology is not supported with ElasticJobsViaWorkloadSlices"
    return ""


def _of(assignment: Assignment, name: str) -> PodSetAssignment | None:
    return next((given for given in assignment.pod_sets if given.name == name), None)


def _fail(assignment: Assignment, given: PodSetAssignment, error: str) -> None:
    given.error = error
    assignment.fixed_mode = None


def _set_mode(assignment: Assignment, name: str, mode: Mode) -> None:
    given = _of(assignment, name)
    if given is not None:
        for chosen in given.flavors.values():
            chosen.mode = mode
        assignment.fixed_mode = mode


def _mark_attempt(assignment: Assignment, name: str, flavor: str) -> None:
    given = _of(assignment, name)
    for attempt in given.attempts if given is not None else ():
        if attempt.flavor == flavor:
            attempt.mode, attempt.no_fit_reason = Mode.NO_FIT, NoFit.TOPOLOGY_PLACEMENT_FAILED
            return

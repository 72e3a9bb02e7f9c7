"""Giving flavors to a workload: for each pod set and resource the best flavor of its group, with the reasons against the others.

Flavors are tried in order; the queue's fungibility says whether to go on to the next when one would have to borrow or preempt.
Source: Kueue pkg/scheduler/flavorassigner/flavorassigner.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple, Protocol

from raysail.queue.model.cluster_queue import ClusterQueue, Flavor, Fungibility, ResourceGroup
from raysail.queue.model.matching import selects_labels, taint_text, untolerated_taint
from raysail.queue.model.quota import Amounts, FlavorResource, height_of_lowest_fit, plus
from raysail.queue.model.variants import allowed_flavors
from raysail.queue.model.workload import FlavorScan, PodSetRequests, WorkloadInfo
from raysail.queue.planner.assignment import (
    POSSIBILITY_ORDER,
    Assignment,
    Attempt,
    FlavorAssignment,
    Mode,
    NoFit,
    PodSetAssignment,
    amount_text,
    most_severe,
    quantity,
)
from raysail.queue.topology.nominate import TopologyStep
from raysail.queue.topology.request import has_levels, is_explicit
from raysail.queue.topology.world import Topologies


class Grade(NamedTuple):
    """How good a flavor is, finer than Mode. `mode` is one of the constants below; `borrow` how far up the cohorts it reaches."""

    mode: int
    borrow: int


NO_FIT: Final = 0
NO_CANDIDATES: Final = 1
PREEMPT: Final = 2
RECLAIM: Final = 3
FIT: Final = 4
_MODE_OF: Final = (Mode.NO_FIT, Mode.PREEMPT, Mode.PREEMPT, Mode.PREEMPT, Mode.FIT)
_POSSIBILITY_OF: Final = (None, "NoCandidates", "Preempt", "Reclaim", None)
GRADE_OF_POSSIBILITY: Final = {"NoCandidates": NO_CANDIDATES, "Preempt": PREEMPT, "Reclaim": RECLAIM}
WORST: Final = Grade(NO_FIT, 1 << 60)
BEST: Final = Grade(FIT, 0)


def is_preferred(a: Grade, b: Grade, fungibility: Fungibility) -> bool:
    """Whether a is better than b under the queue's preference."""
    if a.mode == NO_FIT:
        return False
    if b.mode == NO_FIT:
        return True
    if (a.mode == NO_CANDIDATES) != (b.mode == NO_CANDIDATES):
        return a.mode != NO_CANDIDATES
    if fungibility.preference == "PreemptionOverBorrowing":
        return a.borrow < b.borrow or (a.borrow == b.borrow and a.mode > b.mode)
    return a.mode > b.mode or (a.mode == b.mode and a.borrow < b.borrow)


def should_try_next(grade: Grade, fungibility: Fungibility) -> bool:
    """Whether the search goes on to the next flavor."""
    if grade.mode in (NO_FIT, NO_CANDIDATES):
        return True
    if grade.mode in (PREEMPT, RECLAIM) and fungibility.when_can_preempt == "TryNextFlavor":
        return True
    return grade.borrow > 0 and fungibility.when_can_borrow == "TryNextFlavor"


class Oracle(Protocol):
    """Tells what preemption could do for one flavor and resource."""

    def simulate(self, info: WorkloadInfo, queue: ClusterQueue, key: FlavorResource, amount: int) -> tuple[str, int]:
        """(NoCandidates, Preempt or Reclaim; how far it borrows afterwards)."""
        ...


class FlavorAssigner:
    """Tries flavors for one workload in one ClusterQueue. Changes nothing."""

    def __init__(
        self,
        info: WorkloadInfo,
        queue: ClusterQueue,
        flavors: Mapping[str, Flavor],
        oracle: Oracle,
        *,
        fair_sharing: bool = False,
        ignore_undeclared: bool = False,
        replaced: WorkloadInfo | None = None,
        cycle: int = 0,
        concurrent_admission: bool = False,
        topologies: Topologies | None = None,
        check_controllers: Mapping[str, str] | None = None,
    ) -> None:
        self.info = info
        self.queue = queue
        self.flavors = flavors
        self.oracle = oracle
        self.fair_sharing = fair_sharing
        self.ignore_undeclared = ignore_undeclared
        self.replaced = replaced
        self.cycle = cycle
        self.allowed = allowed_flavors(info.obj) if concurrent_admission else None
        """The only flavors that this variant may use; None: any."""
        self.topologies = topologies or Topologies(queue.journal)
        self.topology = TopologyStep(info, queue, self.topologies, flavors, check_controllers, replaced)

    def assign(self, counts: list[int] | None = None) -> Assignment:
        """Flavors for all pod sets, with these numbers of Pods (default: all)."""
        info, queue = self.info, self.queue
        assignment = Assignment(FlavorScan([], queue.generation, self.cycle, info.shape_hash), self.replaced)
        counts_pods = queue.group_of("pods") is not None
        groups: dict[str, list[int]] = {}
        asked: list[PodSetRequests] = []
        for at, pod_set in enumerate(info.pod_sets):
            scaled = pod_set.scaled_to(pod_set.count if counts is None else counts[at])
            if counts_pods:
                scaled.requests["pods"] = scaled.count
            asked.append(scaled)
            request = info.shapes[at].topology_request if at < len(info.shapes) else None
            groups.setdefault(str((request or {}).get("podSetGroupName") or at), []).append(at)
        if all(self._assign_group(assignment, members, asked) for members in groups.values()):
            self.topology.complete(assignment)
        assignment.resolve_no_fit_reason(queue)
        return assignment

    def _assign_group(self, assignment: Assignment, members: list[int], asked: list[PodSetRequests]) -> bool:
        requests: dict[str, int] = {}
        for at in members:
            for resource, amount in asked[at].requests.items():
                requests[resource] = requests.get(resource, 0) + amount
        chosen: dict[str, FlavorAssignment] = {}
        for at in members:
            for resource, flavor in asked[at].flavors.items():
                chosen[resource] = FlavorAssignment(flavor, Mode.FIT)
        attempts: dict[str, Attempt] = {}
        reasons: list[str] = []
        # what the queue does not cover first: then nothing else needs to be tried
        for resource in sorted(requests, key=lambda name: (self.queue.group_of(name) is not None, name)):
            group = self.queue.group_of(resource)
            if (group is None and (not requests[resource] or self.ignore_undeclared)) or resource in chosen:
                continue
            found, why, tried = self._find_flavor(members, requests, resource, group, assignment.usage)
            if group is not None:
                _merge_attempts(attempts, tried, resource, group)
            if not found:
                chosen, reasons = {}, why
                break
            chosen.update(found)
            reasons += why
        complete = True
        ordered = [attempts[flavor] for flavor in sorted(attempts)]
        for at in members:
            result = PodSetAssignment(asked[at].name, asked[at].count, asked[at].requests)
            result.flavors = self._flavors_of(at, asked[at].requests, chosen)
            result.topology, result.delayed = asked[at].topology, asked[at].delayed
            result.reasons = list(reasons)
            result.attempts = ordered
            self._append(assignment, result)
            if asked[at].requests and not result.flavors:
                complete = False
        return complete

    def _flavors_of(self, at: int, requests: Mapping[str, int], chosen: dict[str, FlavorAssignment]) -> dict[str, FlavorAssignment]:
        """Those of the group for what the pod set asks for. One that asks for nothing is placed in the topology of its group."""
        if requests:
            return {resource: given for resource, given in chosen.items() if resource in requests}
        if not (self.info.shapes[at].topology_request or {}).get("podSetGroupName"):
            return {}
        return {resource: given for resource, given in chosen.items() if self.topologies.has(given.flavor)}

    def _append(self, assignment: Assignment, result: PodSetAssignment) -> None:
        assignment.pod_sets.append(result)
        tried: dict[str, int] = {}
        for resource, given in result.flavors.items():
            assignment.borrowing = max(assignment.borrowing, given.borrow)
            amount = result.requests.get(resource, 0) - self._replaced_request(result.name, resource)
            key = given.flavor, resource
            assignment.usage[key] = plus(assignment.usage.get(key, 0), amount)
            tried[resource] = given.tried
        assignment.scan.tried.append(tried)

    def _replaced_request(self, pod_set: str, resource: str) -> int:
        for old in self.replaced.pod_sets if self.replaced else ():
            if old.name == pod_set:
                return old.requests.get(resource, 0)
        return 0

    def _find_flavor(
        self, members: list[int], requests: dict[str, int], resource: str, group: ResourceGroup | None, used: Amounts
    ) -> tuple[dict[str, FlavorAssignment], list[str], list[Attempt]]:
        if group is None:
            return {}, [f"resource {resource} unavailable in ClusterQueue"], []
        wanted = {name: amount for name, amount in sorted(requests.items()) if name in group.resources}
        fungibility = self.queue.fungibility
        reasons: list[str] = []
        attempts: list[Attempt] = []
        best: dict[str, FlavorAssignment] = {}
        best_grade = WORST
        last = -1
        scan = self.info.last_scan
        for at in range(scan.next_flavor(members[0], resource) if scan else 0, len(group.flavors)):
            last = at
            flavor = group.flavors[at]
            if self._nominated_otherwise(flavor, members, resource):
                reasons.append(f"skipping flavor {flavor} as it is not found in the nomination mapping for resource {resource}")
                continue
            if self.allowed is not None and flavor not in self.allowed:
                reasons.append(f"skipping flavor {flavor} due to WorkloadAllowedResourceFlavorAnnotation annotation")
                continue
            if mismatch := self._mismatch(flavor, members, group):
                reasons.append(mismatch)
                attempts.append(Attempt(flavor, Mode.NO_FIT, reasons=[mismatch], no_fit_reason=NoFit.NO_MATCHING_FLAVOR))
                continue
            found, grade, borrow, why, no_fit = self._grade_flavor(flavor, members, wanted, used)
            reasons += why
            attempts.append(Attempt(flavor, _MODE_OF[grade.mode], borrow, _POSSIBILITY_OF[grade.mode], why, no_fit))
            if not should_try_next(grade, fungibility):
                best, best_grade = found, grade
                break
            if is_preferred(grade, best_grade, fungibility):
                best, best_grade = found, grade
        for given in best.values():
            given.tried = -1 if last == len(group.flavors) - 1 else last
        return best, [] if best_grade.mode == FIT else reasons, attempts

    def _nominated_otherwise(self, flavor: str, members: list[int], resource: str) -> bool:
        nomination = self.info.nomination
        return bool(nomination) and all((nomination or {}).get(self.info.shapes[at].name, {}).get(resource) != flavor for at in members)

    def _mismatch(self, name: str, members: list[int], group: ResourceGroup) -> str:
        flavor = self.flavors.get(name)
        if flavor is None:
            return f"flavor {name} not found"
        for at in members:
            shape = self.info.shapes[at]
            if message := self._topology_mismatch(flavor, shape.topology_request, group, at):
                return message
            tolerations = [*(shape.spec.get("tolerations") or ()), *flavor.tolerations]
            taint = untolerated_taint(flavor.node_taints, tolerations)
            if taint is not None:
                return f"untolerated taint {taint_text(taint)} in flavor {name}"
            if not selects_labels(shape.spec, flavor.node_labels):
                return f"flavor {name} doesn't match node affinity"
        return ""

    def _topology_mismatch(self, flavor: Flavor, request: Mapping[str, object] | None, group: ResourceGroup, at: int) -> str:
        if not self.topologies.profile.enabled:
            return ""
        if not is_explicit(request):
            unfit = flavor.topology_name and not self.topology.only_topology
            return f'Flavor "{flavor.name}" supports only TopologyAwareScheduling' if unfit else ""
        if not flavor.topology_name:
            # one that gives nothing that the Pods ask for themselves may still give quota for what transformations made of it
            unfit = any(resource in group.resources for resource in self.info.shapes[at].one_pod)
            return f'Flavor "{flavor.name}" does not support TopologyAwareScheduling' if unfit else ""
        topology = self.topologies.flavor(flavor.name)
        if topology is None:
            return f'Flavor "{flavor.name}" information missing in TAS cache'
        if not has_levels(topology.tree, request):
            return f'Flavor "{flavor.name}" does not contain the requested level'
        return ""

    def _grade_flavor(
        self, flavor: str, members: list[int], wanted: dict[str, int], used: Amounts
    ) -> tuple[dict[str, FlavorAssignment], Grade, int, list[str], str]:
        found: dict[str, FlavorAssignment] = {}
        worst = BEST
        most_borrow = 0
        reasons: list[str] = []
        no_fit = ""
        for resource, amount in wanted.items():
            for at in members if self.replaced else ():
                assert self.replaced is not None  # noqa: S101 - else the loop is empty
                old = self.replaced.pod_sets[at]
                if old.flavors.get(resource, "") != flavor:
                    worst = WORST
                    reasons.append(
                        f"could not assign {flavor} flavor since the original workload is assigned: {old.flavors.get(resource, '')}"
                    )
                    no_fit = most_severe(no_fit, NoFit.NO_MATCHING_FLAVOR)
                    break
                amount -= old.requests.get(resource, 0)
            mode, borrow, why, reason = self._grade_quota((flavor, resource), used.get((flavor, resource), 0), amount)
            reasons += why
            no_fit = most_severe(no_fit, reason)
            most_borrow = max(most_borrow, borrow)
            grade = Grade(mode, borrow)
            if is_preferred(worst, grade, self.queue.fungibility):
                worst = grade
            if worst.mode != NO_FIT:
                found[resource] = FlavorAssignment(flavor, _MODE_OF[mode], borrow)
        return found, worst, most_borrow, reasons, no_fit

    def _grade_quota(self, key: FlavorResource, assumed: int, request: int) -> tuple[int, int, list[str], str]:
        flavor, resource = key
        most = self.queue.potential_available(key)
        value = plus(assumed, request)
        if value > most:
            message = (
                f"insufficient quota for {resource} in flavor {flavor}, previously considered podsets requests "
                f"({amount_text(resource, assumed)}) + current podset request ({quantity(resource, request)}) > maximum capacity ({amount_text(resource, most)})"
            )
            return NO_FIT, 0, [message], NoFit.EXCEEDS_MAX_QUOTA
        borrow, may_reclaim = height_of_lowest_fit(self.queue, key, value)
        available = max(0, self.queue.available(key))
        if value <= available:
            return FIT, borrow, [], ""
        message = f"insufficient unused quota for {resource} in flavor {flavor}, {amount_text(resource, value - available)} more needed"
        if self.queue.quota(key).nominal >= value or may_reclaim or self._may_preempt_while_borrowing():
            possibility, borrow_after = self.oracle.simulate(self.info, self.queue, key, value)
            return GRADE_OF_POSSIBILITY[possibility], borrow_after, [message], ""
        return NO_FIT, borrow, [message], NoFit.WAITING_FOR_QUOTA

    def _may_preempt_while_borrowing(self) -> bool:
        rules = self.queue.preemption
        return rules.borrow_within_cohort != "Never" or (self.fair_sharing and rules.reclaim_within_cohort != "Never")


def _merge_attempts(known: dict[str, Attempt], tried: list[Attempt], resource: str, group: ResourceGroup) -> None:
    for attempt in tried:
        old = known.get(attempt.flavor)
        if old is None:
            known[attempt.flavor] = attempt
            continue
        possibility = old.possibility
        if attempt.possibility is not None and (
            possibility is None or POSSIBILITY_ORDER[attempt.possibility] < POSSIBILITY_ORDER[possibility]
        ):
            possibility = attempt.possibility
        known[attempt.flavor] = Attempt(
            attempt.flavor,
            min(old.mode, attempt.mode),
            max(old.borrow, attempt.borrow),
            possibility,
            list({*old.reasons, *attempt.reasons}),
            most_severe(old.no_fit_reason, attempt.no_fit_reason),
        )
    if not tried:
        return
    present = {attempt.flavor for attempt in tried}
    for flavor, attempt in known.items():
        if flavor in group.flavors and flavor not in present:
            attempt.mode = Mode.NO_FIT
            attempt.reasons = sorted({*attempt.reasons, f"flavor {flavor} does not provide resource {resource}"})
            attempt.no_fit_reason = NoFit.NO_MATCHING_FLAVOR

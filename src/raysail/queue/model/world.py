"""The planner's world: flavors, ClusterQueues and Cohorts with what they hold. Mutable; one cycle's attempts are undone through the journal.

Source: Kueue pkg/cache/scheduler (cache.go, clusterqueue.go, cohort.go, snapshot.go). Unlike there, nothing is copied per cycle.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from raysail.api.kueue import ClusterQueue as ClusterQueueObject
from raysail.api.kueue import Cohort as CohortObject
from raysail.queue.model.cluster_queue import ClusterQueue, Cohort, Flavor, Tally
from raysail.queue.model.quota import Amounts, CohortNode, Journal, QuotaNode
from raysail.queue.model.requests import LimitSummary
from raysail.queue.model.usage_ledger import UsageLedger
from raysail.queue.model.workload import WorkloadInfo, has_reservation
from raysail.queue.topology.world import Topologies


class World:
    """Everything a cycle looks at, apart from the pending queues."""

    def __init__(self) -> None:
        self.journal = Journal()
        self.topologies = Topologies(self.journal)
        self.check_controllers: dict[str, str] = {}
        """Controller of each AdmissionCheck."""
        self.flavors: dict[str, Flavor] = {}
        self.cluster_queues: dict[str, ClusterQueue] = {}
        self.cohorts: dict[str, Cohort] = {}
        self.namespaces: dict[str, Mapping[str, str]] = {}
        self.limits: dict[str, Mapping[str, LimitSummary]] = {}
        self.local_tallies: dict[str, Tally] = {}
        """What the workloads of each LocalQueue (namespace/name) hold."""
        self.ledger: UsageLedger | None = None
        """What LocalQueues used lately, where admission fair sharing is on."""
        self.cycles = 0
        """Rounds of planning so far."""
        self.holders: dict[str, str] = {}
        """Key of each workload that holds quota to the name of its ClusterQueue."""

    # configuration

    def set_flavor(self, flavor: Flavor) -> None:
        """Adds or changes a flavor."""
        self.flavors[flavor.name] = flavor
        self.topologies.set_flavor(flavor.name, flavor.topology_name, flavor.node_labels, flavor.tolerations)

    def drop_flavor(self, name: str) -> None:
        """Forgets a flavor."""
        self.flavors.pop(name, None)
        self.topologies.drop_flavor(name)

    def set_cluster_queue(self, obj: ClusterQueueObject) -> ClusterQueue:
        """Adds or changes a ClusterQueue; returns it."""
        queue = self.cluster_queues.get(obj.metadata.name)
        if queue is None:
            queue = self.cluster_queues[obj.metadata.name] = ClusterQueue(obj.metadata.name, self.journal)
        before = queue.quotas
        queue.configure(obj)
        if before != queue.quotas:
            queue.generation += 1
        self._place(queue, queue.wanted_cohort)
        return queue

    def drop_cluster_queue(self, name: str) -> None:
        """Forgets a ClusterQueue with everything it held."""
        queue = self.cluster_queues.pop(name, None)
        if queue is None:
            return
        for key, info in queue.workloads.items():
            self._tally(queue, info, -1)
            self.topologies.count(info.topology_uses(), -1)
            self.holders.pop(key, None)
        self._place(queue, "")

    def set_cohort(self, obj: CohortObject) -> Cohort:
        """Adds or changes a Cohort; returns it."""
        cohort = self._cohort(obj.metadata.name)
        cohort.configure(obj)
        self._place_cohort(cohort)
        return cohort

    def drop_cohort(self, name: str) -> None:
        """The Cohort object is gone; it stays, without quota, while others name it."""
        cohort = self.cohorts.get(name)
        if cohort is not None:
            cohort.forget()
            self._place_cohort(cohort)

    def _cohort(self, name: str) -> Cohort:
        if name not in self.cohorts:
            self.cohorts[name] = Cohort(name, self.journal)
        return self.cohorts[name]

    def _place(self, queue: ClusterQueue, cohort: str) -> None:
        old = queue.parent
        if old is not None and old.name != cohort:
            del old.member_nodes[queue.name]
            queue.parent = None
        if cohort and queue.parent is None:
            queue.parent = self._cohort(cohort)
            queue.parent.member_nodes[queue.name] = queue
        queue.subtree_quota = {key: quota.nominal for key, quota in queue.quotas.items()}
        self._recount(old)
        self._recount(queue.parent)
        if isinstance(old, Cohort):
            self._prune(old)

    def _place_cohort(self, cohort: Cohort) -> None:
        """Links every cohort to the parent it wants. Those on, or leading into, a cycle stand alone and are marked."""
        changed: list[CohortNode | None] = [cohort]
        for name in [each.wanted_parent for each in self.cohorts.values() if each.wanted_parent]:
            self._cohort(name)
        for each in list(self.cohorts.values()):
            each.cyclic = self._goes_in_circles(each)
            wanted = "" if each.cyclic else each.wanted_parent
            if each.parent is not None and each.parent.name != wanted:
                changed += (each.parent, each)
                del each.parent.child_cohorts[each.name]
                each.parent = None
            if wanted and each.parent is None:
                each.parent = self.cohorts[wanted]
                each.parent.child_cohorts[each.name] = each
                changed.append(each)
        for node in changed:
            self._recount(node)
        for node in changed:
            if isinstance(node, Cohort):
                self._prune(node)

    def _goes_in_circles(self, cohort: Cohort) -> bool:
        seen = {cohort.name}
        name = cohort.wanted_parent
        while name:
            if name in seen:
                return True
            seen.add(name)
            name = self.cohorts[name].wanted_parent if name in self.cohorts else ""
        return False

    def _prune(self, cohort: Cohort) -> None:
        """An implicit cohort without children is no more."""
        node: CohortNode | None = cohort
        while isinstance(node, Cohort) and not node.explicit and not node.child_cohorts and not node.member_nodes:
            if any(each.wanted_parent == node.name for each in self.cohorts.values()):
                return
            parent = node.parent
            self.cohorts.pop(node.name, None)
            if parent is not None:
                del parent.child_cohorts[node.name]
            node = parent

    def _recount(self, cohort: CohortNode | None) -> None:
        if cohort is None:
            return
        root = cohort.root()
        assert isinstance(root, CohortNode)  # noqa: S101 - the root of a cohort is a cohort
        root.recount()
        self.bump(root)

    # usage

    def holds(self, key: str) -> bool:
        """Whether that workload is counted somewhere."""
        return key in self.holders

    def add_workload(self, info: WorkloadInfo) -> bool:
        """Counts a workload against the ClusterQueue that admitted it. False where that queue is unknown."""
        self.remove_workload(info.key)
        queue = self.cluster_queues.get(info.cluster_queue)
        if queue is None:
            return False
        queue.workloads[info.key] = info
        self.holders[info.key] = queue.name
        self.take(info)
        self._tally(queue, info, 1)
        return True

    def remove_workload(self, key: str) -> WorkloadInfo | None:
        """Gives back what a workload holds; returns it if it was counted."""
        queue = self.cluster_queues.get(self.holders.pop(key, ""))
        if queue is None:
            return None
        info = queue.workloads.pop(key, None)
        queue.not_ready.discard(key)
        if info is not None:
            queue.remove_all(info.usage())
            self.topologies.count(info.topology_uses(), -1)
            self._tally(queue, info, -1)
            self.bump(queue.root())
        return info

    def _tally(self, queue: ClusterQueue, info: WorkloadInfo, sign: int) -> None:
        queue.tally.count(info, sign)
        name = f"{info.namespace}/{info.local_queue}"
        local = self.local_tallies.setdefault(name, Tally())
        local.count(info, sign)
        if not local.reserving:
            del self.local_tallies[name]

    def workload(self, key: str) -> WorkloadInfo | None:
        """The counted workload of that key."""
        queue = self.cluster_queues.get(self.holders.get(key, ""))
        return queue.workloads.get(key) if queue else None

    def bump(self, root: QuotaNode) -> None:
        """Quota was freed or changed in this tree: earlier flavor scans are outdated."""
        for queue in tree_members(root):
            queue.generation += 1

    # lookups

    def counts_at_once(self, queue: ClusterQueue, info: WorkloadInfo) -> bool:
        """Whether its reservation counts in the use of its LocalQueue before it is admitted. A second pass does not count again."""
        return self.ledger is not None and queue.usage_based and not has_reservation(info.obj)

    def usable(self, queue: ClusterQueue) -> bool:
        """Whether a cycle may use it: active, and not in a tree that goes round in circles."""
        return queue.active and not self.in_circle(queue)

    def in_circle(self, queue: ClusterQueue) -> bool:
        """Whether its cohorts go round in circles."""
        return isinstance(queue.parent, Cohort) and queue.parent.cyclic

    def selects(self, queue: ClusterQueue, namespace: str) -> bool:
        """Whether the namespace is there and may use the queue."""
        labels = self.namespaces.get(namespace)
        return labels is not None and bool(queue.namespace_selector.matches(labels))

    def removed(self, infos: Iterable[WorkloadInfo]) -> int:
        """Takes away, for an attempt, what these hold. Returns the mark to give to `journal.undo`."""
        mark = self.journal.mark()
        for info in infos:
            self.release(info)
        return mark

    def take(self, info: WorkloadInfo) -> None:
        """Counts what a workload holds, quota and places."""
        self.cluster_queues[info.cluster_queue].add_all(info.usage())
        self.topologies.count(info.topology_uses(), 1)

    def release(self, info: WorkloadInfo) -> None:
        """Takes away what a workload holds, quota and places."""
        self.cluster_queues[info.cluster_queue].remove_all(info.usage())
        self.topologies.count(info.topology_uses(), -1)

    def fits(self, queue: ClusterQueue, usage: Amounts) -> bool:
        """Whether all of it is available now."""
        return all(max(0, queue.available(key)) >= amount for key, amount in usage.items())


def tree_members(root: QuotaNode) -> Iterator[ClusterQueue]:
    """All ClusterQueues of a tree."""
    members: Iterable[QuotaNode] = root.subtree_members() if isinstance(root, CohortNode) else (root,)
    for member in members:
        if isinstance(member, ClusterQueue):
            yield member

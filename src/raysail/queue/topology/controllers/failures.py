"""Follows nodes that fail: marks their Workloads so that the scheduler finds other places, and ends Pods that wait there in vain.

A Workload that loses a second node before the first is replaced is evicted. Source: Kueue pkg/controller/tas/node_controller.go.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from raysail.api.core.node import Node
from raysail.api.errors import StatusError, is_not_found
from raysail.api.kueue import Workload
from raysail.api.meta import format_time, parse_time
from raysail.api.resources import PODS
from raysail.kube.controller import Controller
from raysail.kube.informer import Key
from raysail.kube.manager import Manager
from raysail.queue.cache import QueueCache
from raysail.queue.lifecycle import status as transitions
from raysail.queue.lifecycle.outcomes import cut
from raysail.queue.model.slices import chain_name
from raysail.queue.model.workload import is_finished
from raysail.queue.planner.second_pass import assigned_nodes
from raysail.queue.settings import QueueSettings
from raysail.queue.topology.controllers.watch import TopologyWatch
from raysail.queue.topology.failures import (
    NOT_READY_DELAY_SECONDS,
    TERMINATED_CONDITION,
    TERMINATED_MESSAGE,
    TERMINATED_REASON,
    FailureRules,
    Health,
    examine,
    ready_condition,
    several_failed_message,
)
from raysail.queue.topology.pods import Pod

_LOOK_AFTER_SECONDS: Final = 0.1
"""Pods of one node change in swarms."""


def _by_node(workload: Workload) -> Iterable[str]:
    evicted = any(each.type == "Evicted" and each.status == "True" for each in workload.status.conditions or ())
    return () if is_finished(workload) or evicted else assigned_nodes(workload)


class NodeFailureController:
    """Reconciles nodes by name, also those that are gone."""

    def __init__(self, manager: Manager, cache: QueueCache, settings: QueueSettings, watch: TopologyWatch) -> None:
        self.cache = cache
        self.watch = watch
        self.client = manager.client
        self.clock = manager.clock
        self.events = manager.events
        self.rules = FailureRules.from_gates(settings.feature_gates)
        cache.workloads.add_indexes({"node": _by_node})
        self.controller = manager.add(Controller("topology_node", self.reconcile, settings.parallel("Node", 1)))
        watch.nodes.on_change(self._node_changed)
        watch.on_pod.append(self._pod_changed)

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        if not self.rules.replace:
            return
        if old is None or new is None or _is_ready(old) != _is_ready(new) or (self.rules.on_taints and old.spec.taints != new.spec.taints):
            self.controller.enqueue(("", (new or old).metadata.name))  # type: ignore[union-attr]

    def _pod_changed(self, _: Pod | None, new: Pod | None) -> None:
        if new is None or not new.placed or not self.rules.replace:
            return
        if not new.node and new.selected_host:
            self.controller.enqueue_after(("", new.selected_host), _LOOK_AFTER_SECONDS)
        if new.node and (new.ended or new.metadata.deletion_timestamp is not None):
            self.controller.enqueue_after(("", new.node), _LOOK_AFTER_SECONDS)

    async def reconcile(self, key: Key) -> float | None:
        """Looks at every Workload that has places on the node, or Pods that select it."""
        name = key[1]
        affected = {workload.metadata.key: workload for workload in self.cache.workloads.by_index("node", name)}
        node = self.watch.nodes.get("", name)
        condition = ready_condition(node) if node is not None else None
        if condition is not None and condition.status != "True":
            since = parse_time(condition.last_transition_time).timestamp() if condition.last_transition_time else 0.0
            left = NOT_READY_DELAY_SECONDS - (self.clock.now().timestamp() - since)
            if left > 0 and not self.rules.on_pod_termination:
                return left
            if left <= 0 and self.rules.after_fixed_time:
                for workload in affected.values():
                    await self._lose(workload, name)
                affected = {}
        if node is None or condition is None:
            for workload in affected.values():
                await self._lose(workload, name)
            return None
        selecting: dict[Key, list[Pod]] = {}
        pods = self.watch.pods
        for pod in pods.by_index("host", name) if pods is not None else ():
            if pod.workload:
                selecting.setdefault((pod.metadata.namespace, pod.workload), []).append(pod)
        for owner in selecting:
            found = self.cache.workloads.get(*owner)
            if found is not None and not is_finished(found) and not _is_evicted(found):
                affected.setdefault(owner, found)
        for owner, workload in affected.items():
            await self._look_at(workload, node, selecting.get(owner, []))
        return None

    async def _look_at(self, workload: Workload, node: Node, selecting: list[Pod]) -> None:
        workload = self.cache.workloads.get(*workload.metadata.key) or workload
        pods = self.watch.pods
        chain = (workload.metadata.namespace, chain_name(workload))
        bound = [pod for pod in pods.by_index("chain", chain) if pod.node == node.metadata.name] if pods is not None else []
        finding = examine(workload, node, self.rules, selecting, bound, self.cache.world.flavors)
        if finding.health is Health.LOST:
            if await self._lose(workload, node.metadata.name):
                return
        else:
            await self._keep(workload, node.metadata.name)
        for pod in finding.to_end:
            await self._end(pod)

    async def _lose(self, workload: Workload, node: str) -> bool:
        """Marks the node as failed; True if the Workload is evicted, because of this or before."""
        said: list[str] = []

        def change(current: Workload, status: dict[str, Any]) -> bool:
            failed = [each.get("name", "") for each in status.get("unhealthyNodes") or ()]
            if transitions.holds(status, "Evicted") or node in failed:
                return False
            if failed:
                said.append(several_failed_message(failed, node))
                transitions.evict(status, "NodeFailures", said[-1], self.clock.now(), current.metadata.generation)
            else:
                status["unhealthyNodes"] = [{"name": node}]
            return True

        done = await self.cache.workload_writer.change(workload, change)
        if said and done is not None:
            self.events.event(done, "Normal", "EvictedDueToNodeFailures", cut(said[-1]), "EvictedDueToNodeFailures")
        current = done if done is not None else self.cache.workloads.get(*workload.metadata.key)
        return current is None or _is_evicted(current)

    async def _keep(self, workload: Workload, node: str) -> None:
        """The node is well again, or the Workload still runs there."""
        if not any(each.name == node for each in workload.status.unhealthy_nodes or ()):
            return

        def change(_: Workload, status: dict[str, Any]) -> bool:
            failed = status.get("unhealthyNodes") or []
            left = [each for each in failed if each.get("name") != node]
            if len(left) == len(failed):
                return False
            if left:
                status["unhealthyNodes"] = left
            else:
                del status["unhealthyNodes"]
            return True

        await self.cache.workload_writer.change(workload, change)

    async def _end(self, pod: Pod) -> None:
        """Fails a Pod that can never be bound to the node that it selects; its job makes a new one."""
        condition = {
            "type": TERMINATED_CONDITION,
            "status": "True",
            "reason": TERMINATED_REASON,
            "message": TERMINATED_MESSAGE,
            "lastTransitionTime": format_time(self.clock.now()),
        }
        conditions = [*(pod.status.get("conditions") or ()), condition]
        body = {"metadata": {"resourceVersion": pod.metadata.resource_version}, "status": {"phase": "Failed", "conditions": conditions}}
        try:
            answer = await self.client.patch(PODS, pod.metadata.name, body, pod.metadata.namespace, subresource="status")
        except StatusError as error:
            if not is_not_found(error):
                raise
            return
        self.watch.start_pods().absorb(answer)
        self.events.event(pod, "Normal", "PodTerminatedByKueue", TERMINATED_MESSAGE, "PodTerminated")


def _is_ready(node: Node) -> bool:
    condition = ready_condition(node)
    return condition is not None and condition.status == "True"


def _is_evicted(workload: Workload) -> bool:
    return any(each.type == "Evicted" and each.status == "True" for each in workload.status.conditions or ())

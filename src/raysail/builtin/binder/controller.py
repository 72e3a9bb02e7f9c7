"""Binding against the API: plans over all Pods without a Node whenever something changed, binds, and says why a Pod waits.

A bound Pod counts as placed from the moment it is decided, before the watch tells so; a refused binding is planned again.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from raysail.api import conditions
from raysail.api.core import Node, PersistentVolumeClaim, Pod
from raysail.api.errors import StatusError, is_conflict, is_not_found
from raysail.api.meta import format_time
from raysail.api.resources import NODES, PERSISTENT_VOLUME_CLAIMS, PODS
from raysail.builtin.binder.plan import TERMINAL_PHASES, UNSCHEDULABLE, Bind, Wait, plan, waits_for_node
from raysail.builtin.binder.requests import Amounts, pod_requests
from raysail.builtin.settings import BuiltinSettings
from raysail.kube.client import PatchType
from raysail.kube.controller import Controller, Key
from raysail.kube.manager import Manager

logger = logging.getLogger(__name__)

POD_SCHEDULED: Final = "PodScheduled"
REPORTER: Final = "default-scheduler"
MAX_WRITES: Final = 32
_CYCLE: Final[Key] = ("", "cycle")


def register(manager: Manager, settings: BuiltinSettings) -> None:
    """Adds the binder to a process."""
    manager.add(Binder(manager).controller)


class Binder:
    """One key stands for all Pods: a cycle plans all that wait."""

    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._clock = manager.clock
        self._events = manager.events
        self._pods = manager.informer(PODS, Pod)
        self._nodes = manager.informer(NODES, Node)
        self._claims = manager.informer(PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim)
        self._pending: dict[str, Pod] = {}
        self._placed: dict[str, dict[str, Pod]] = {}
        self._assumed: dict[str, str] = {}
        self._requests: dict[str, Amounts] = {}
        self._slots = asyncio.Semaphore(MAX_WRITES)
        self.controller = Controller("binder", self.reconcile)
        self._pods.on_change(self._pod_changed)
        self._nodes.on_change(self._node_changed)
        self.controller.watches(self._claims, lambda claim: [_CYCLE] if self._pending else [])

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        if (
            old is None
            or new is None
            or old.spec != new.spec
            or old.metadata.labels != new.metadata.labels
            or old.status.allocatable != new.status.allocatable
        ):
            self._again()

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        if old is not None:
            self._forget(old)
        if old is not None and (new is None or new.metadata.uid != old.metadata.uid):
            self._assumed.pop(old.metadata.uid, None)
            self._requests.pop(old.metadata.uid, None)
            self._again()
        if new is None:
            return
        uid = new.metadata.uid
        if old is not None and old.spec != new.spec:
            self._requests.pop(uid, None)
        if new.spec.node_name:
            self._assumed.pop(uid, None)
            if new.status.phase not in TERMINAL_PHASES:
                self._placed.setdefault(new.spec.node_name, {})[uid] = new
            elif old is None or old.status.phase not in TERMINAL_PHASES:
                self._again()  # it made room
        elif waits_for_node(new):
            self._pending[uid] = new
            # Our own report of why it waits is no reason to plan again.
            if old is None or not waits_for_node(old) or old.spec != new.spec:
                self._again()

    def _forget(self, pod: Pod) -> None:
        uid = pod.metadata.uid
        self._pending.pop(uid, None)
        on_node = self._placed.get(pod.spec.node_name)
        if on_node is not None:
            on_node.pop(uid, None)

    def _again(self) -> None:
        if self._pending:
            self.controller.enqueue(_CYCLE)

    async def reconcile(self, key: Key) -> float | None:
        """One cycle."""
        pending = [pod for uid, pod in self._pending.items() if uid not in self._assumed]
        placed: dict[str, list[Pod]] = {node: list(pods.values()) for node, pods in self._placed.items()}
        for uid, node in self._assumed.items():
            if uid in self._pending:
                placed.setdefault(node, []).append(self._pending[uid])
        decisions = plan(self._nodes.list(), placed, pending, self._claim_fault, self._requests_of)
        for decision in decisions:
            if isinstance(decision, Bind):
                self._assumed[decision.pod.metadata.uid] = decision.node
        await asyncio.gather(*(self._perform(decision) for decision in decisions))
        return None

    def _requests_of(self, pod: Pod) -> Amounts:
        found = self._requests.get(pod.metadata.uid)
        if found is None:
            found = self._requests[pod.metadata.uid] = pod_requests(pod.spec)
        return found

    def _claim_fault(self, pod: Pod) -> str:
        for volume in pod.spec.volumes or ():
            if volume.persistent_volume_claim is not None:
                name = volume.persistent_volume_claim.claim_name
            elif volume.ephemeral is not None:
                name = f"{pod.metadata.name}-{volume.name}"
            else:
                continue
            claim = self._claims.get(pod.metadata.namespace, name)
            if claim is None:
                return f'persistentvolumeclaim "{name}" not found'
            if claim.metadata.deletion_timestamp is not None:
                return f'persistentvolumeclaim "{name}" is being deleted'
            if claim.status.phase != "Bound":
                return "pod has unbound immediate PersistentVolumeClaims"
        return ""

    async def _perform(self, decision: Bind | Wait) -> None:
        async with self._slots:
            try:
                if isinstance(decision, Bind):
                    await self._bind(decision)
                else:
                    await self._report(decision)
            except (StatusError, ConnectionError) as error:
                self._assumed.pop(decision.pod.metadata.uid, None)
                if not (is_not_found(error) or is_conflict(error)):
                    logger.warning("pod %s/%s: %s", *decision.pod.metadata.key, error)
                    self.controller.enqueue_after(_CYCLE, 1.0)

    async def _bind(self, decision: Bind) -> None:
        meta = decision.pod.metadata
        body = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": meta.name, "namespace": meta.namespace, "uid": meta.uid},
            "target": {"apiVersion": "v1", "kind": "Node", "name": decision.node},
        }
        await self._client.create(PODS, body, meta.namespace, name=meta.name, subresource="binding")
        text = f"Successfully assigned {meta.namespace}/{meta.name} to {decision.node}"
        self._events.event(decision.pod, "Normal", "Scheduled", text, "Binding", controller=REPORTER)

    async def _report(self, decision: Wait) -> None:
        pod = decision.pod
        present = conditions.find(pod.status.conditions, POD_SCHEDULED)
        if present is not None and (present.status, present.reason, present.message) == ("False", UNSCHEDULABLE, decision.message):
            return
        condition: dict[str, Any] = {
            "type": POD_SCHEDULED,
            "status": "False",
            "reason": UNSCHEDULABLE,
            "message": decision.message,
            "observedGeneration": pod.metadata.generation,
            "lastProbeTime": None,
            "lastTransitionTime": (present.last_transition_time if present and present.status == "False" else None)
            or format_time(self._clock.now()),
        }
        body = {"metadata": {"uid": pod.metadata.uid}, "status": {"conditions": [condition]}}
        answer = await self._client.patch(
            PODS, pod.metadata.name, body, pod.metadata.namespace, type=PatchType.STRATEGIC, subresource="status"
        )
        self._pods.absorb(answer)
        self._events.event(pod, "Warning", "FailedScheduling", decision.message, "Scheduling", controller=REPORTER)

"""Deletes Pods that no node agent looks after (k8s.io/kubernetes pkg/controller/podgc).

A Node that is missing is given some time (an agent that starts anew may be about to register it) and asked for in the API itself. A Pod that had not
ended is marked as failed by a disruption first, so that its owner knows that it was not its own fault.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from raysail.api.core import Node, Pod
from raysail.api.errors import StatusError, is_conflict, is_not_found
from raysail.api.meta import format_time
from raysail.api.resources import NODES, PODS
from raysail.builtin.settings import BuiltinSettings
from raysail.kube.client import PatchType
from raysail.kube.controller import Controller, Key
from raysail.kube.manager import Manager

QUARANTINE_SECONDS: Final = 40.0


def register(manager: Manager, settings: BuiltinSettings) -> None:
    """Adds it to a process."""
    manager.add(PodGarbage(manager).controller)


def _by_node(pod: Pod) -> Iterable[str]:
    return [pod.spec.node_name]


class PodGarbage:
    """Keys are Pods."""

    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._clock = manager.clock
        self._nodes = manager.informer(NODES, Node)
        self._pods = manager.informer(PODS, Pod, {"node": _by_node})
        self._missing_since: dict[str, float] = {}
        self.controller = Controller("podgc", self.reconcile)
        self._pods.on_change(self._pod_changed)
        self._nodes.on_change(self._node_changed)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        if new is not None and self._suspect(new):
            self.controller.enqueue(new.metadata.key)

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        if new is not None:
            self._missing_since.pop(new.metadata.name, None)
        elif old is not None:
            for pod in self._pods.by_index("node", old.metadata.name):
                self.controller.enqueue(pod.metadata.key)

    def _suspect(self, pod: Pod) -> bool:
        if not pod.spec.node_name:
            return pod.metadata.deletion_timestamp is not None
        return self._nodes.get("", pod.spec.node_name) is None

    async def reconcile(self, key: Key) -> float | None:
        """Looks whether one Pod is lost."""
        pod = self._pods.get(*key)
        if pod is None or not self._suspect(pod):
            return None
        node = pod.spec.node_name
        if node:
            now = self._clock.now().timestamp()
            waited = now - self._missing_since.setdefault(node, now)
            if waited < QUARANTINE_SECONDS:
                return QUARANTINE_SECONDS - waited
            if await self._node_exists(node):
                return QUARANTINE_SECONDS
        try:
            if node and pod.status.phase not in ("Succeeded", "Failed"):
                await self._fail(pod)
            await self._client.delete(PODS, key[1], key[0], grace_seconds=0, uid=pod.metadata.uid)
        except StatusError as error:
            if not (is_not_found(error) or is_conflict(error)):
                raise
        return None

    async def _node_exists(self, name: str) -> bool:
        try:
            await self._client.get(NODES, name)
        except StatusError as error:
            if is_not_found(error):
                return False
            raise
        return True

    async def _fail(self, pod: Pod) -> None:
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "DeletionByPodGC",
            "message": "PodGC: node no longer exists",
            "lastTransitionTime": format_time(self._clock.now()),
        }
        body = {"metadata": {"uid": pod.metadata.uid}, "status": {"phase": "Failed", "conditions": [condition]}}
        meta = pod.metadata
        answer = await self._client.patch(PODS, meta.name, body, meta.namespace, type=PatchType.STRATEGIC, subresource="status")
        self._pods.absorb(answer)

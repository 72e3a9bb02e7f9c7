"""Keeps each Node's taints in step with what its agent says, and with its silence."""

from __future__ import annotations

from typing import Final

from raysail.api.coordination import Lease
from raysail.api.core import Node
from raysail.api.errors import StatusError, is_conflict, is_not_found
from raysail.api.resources import LEASES, NODES
from raysail.builtin.nodes.lifecycle import GRACE_SECONDS, is_silent, unknown_conditions, wanted_taints
from raysail.builtin.settings import BuiltinSettings
from raysail.kube.client import PatchType
from raysail.kube.controller import Controller, Key
from raysail.kube.manager import Manager

NODE_LEASES: Final = "kube-node-lease"


def register(manager: Manager, settings: BuiltinSettings) -> None:
    """Adds it to a process."""
    manager.add(NodeLifecycle(manager).controller)


class NodeLifecycle:
    """Keys are ("", node)."""

    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._clock = manager.clock
        self._reachability = manager.reachability
        self._listening_since = manager.clock.now()
        self._nodes = manager.informer(NODES, Node)
        self._leases = manager.informer(LEASES, Lease)
        self.controller = Controller("node-lifecycle", self.reconcile)
        self.controller.watches(self._nodes)

    async def reconcile(self, key: Key) -> float | None:
        """Looks again when the lease could have run out."""
        node = self._nodes.get(*key)
        if node is None or node.metadata.deletion_timestamp is not None:
            return None
        lease = self._leases.get(NODE_LEASES, node.metadata.name)
        now = self._clock.now()
        if not self._reachability.reachable:
            self._listening_since = now
            return 1.0
        silent = is_silent(lease, self._listening_since, now)
        meta = node.metadata
        try:
            if silent and (lost := unknown_conditions(node, now)):
                body = {"metadata": {"uid": meta.uid}, "status": {"conditions": lost}}
                self._nodes.absorb(await self._client.patch(NODES, meta.name, body, type=PatchType.STRATEGIC, subresource="status"))
            taints = wanted_taints(node, silent, now)
            if taints is not None:
                # The list is replaced as a whole, so it must be the one we looked at.
                current = self._nodes.get(*key) or node
                patch = {"metadata": {"resourceVersion": current.metadata.resource_version}, "spec": {"taints": taints or None}}
                self._nodes.absorb(await self._client.patch(NODES, meta.name, patch))
        except StatusError as error:
            if not (is_conflict(error) or is_not_found(error)):
                raise
            return 0.5
        return GRACE_SECONDS / 4 if lease is not None else None

"""PodDisruptionBudgets against the API."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from raysail.api.apps import Deployment, ReplicaSet, StatefulSet
from raysail.api.core import Pod
from raysail.api.errors import StatusError, is_conflict, is_not_found
from raysail.api.meta import Object, ObjectMeta
from raysail.api.policy import PodDisruptionBudget
from raysail.api.resources import DEPLOYMENTS, POD_DISRUPTION_BUDGETS, PODS, REPLICA_SETS, STATEFUL_SETS
from raysail.api.selectors import from_object
from raysail.builtin.disruption.decide import failed_status, needs_scale, seconds_to_forget, status_of
from raysail.builtin.settings import BuiltinSettings
from raysail.kube.controller import Controller, Key
from raysail.kube.informer import Informer
from raysail.kube.manager import Manager

REPORTER: Final = "controllermanager"


class UnknownScaleError(Exception):
    """The Pods' owner is of no kind that has a number of replicas."""


def register(manager: Manager, settings: BuiltinSettings) -> None:
    """Adds it to a process."""
    manager.add(DisruptionBudgets(manager).controller)


class DisruptionBudgets:
    """Keys are PodDisruptionBudgets."""

    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._clock = manager.clock
        self._events = manager.events
        self._budgets = manager.informer(POD_DISRUPTION_BUDGETS, PodDisruptionBudget)
        self._pods = manager.informer(PODS, Pod)
        self._owners: dict[str, Informer[Any]] = {
            "ReplicaSet": manager.informer(REPLICA_SETS, ReplicaSet),
            "Deployment": manager.informer(DEPLOYMENTS, Deployment),
            "StatefulSet": manager.informer(STATEFUL_SETS, StatefulSet),
        }
        self.controller = Controller("disruption", self.reconcile)
        self.controller.watches(self._budgets)
        self._pods.on_change(self._pod_changed)
        for informer in self._owners.values():
            informer.on_change(self._owner_changed)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        for pod in (old, new):
            if pod is not None:
                for budget in self._budgets.list(pod.metadata.namespace):
                    if from_object(budget.spec.selector).matches(pod.metadata.labels):
                        self.controller.enqueue(budget.metadata.key)

    def _owner_changed(self, old: Object | None, new: Object | None) -> None:
        changed = new or old
        if changed is not None:
            for budget in self._budgets.list(changed.metadata.namespace):
                if needs_scale(budget):
                    self.controller.enqueue(budget.metadata.key)

    async def reconcile(self, key: Key) -> float | None:
        """Counts the Pods of one budget."""
        budget = self._budgets.get(*key)
        if budget is None:
            return None
        now = self._clock.now()
        selector = from_object(budget.spec.selector)
        pods = [pod for pod in self._pods.list(key[0]) if selector.matches(pod.metadata.labels)]
        try:
            scale = self._scale(pods) if needs_scale(budget) else 0
        except UnknownScaleError as error:
            self._events.event(budget, "Warning", "CalculateExpectedPodCountFailed", str(error), "Counting", controller=REPORTER)
            await self._write(budget, failed_status(budget, str(error), now))
            return None
        status = status_of(budget, pods, scale, now)
        await self._write(budget, status)
        return seconds_to_forget(status, now)

    def _scale(self, pods: list[Pod]) -> int:
        """The replicas that the Pods' owners want together. Pods without an owner do not count, as on Kubernetes."""
        wanted: dict[str, int] = {}
        for pod in pods:
            owner = self._owner(pod.metadata)
            if owner is not None and owner.kind == "ReplicaSet":
                owner = self._owner(owner.metadata) or owner
            if owner is not None:
                replicas = owner.spec.replicas
                wanted[owner.metadata.uid] = 1 if replicas is None else replicas
        return sum(wanted.values())

    def _owner(self, metadata: ObjectMeta) -> Any:
        reference = metadata.controller_owner()
        if reference is None:
            return None
        informer = self._owners.get(reference.kind)
        if informer is None:
            raise UnknownScaleError(f'found no controllers for pod "{metadata.name}": {reference.kind} {reference.name} has no scale')
        return informer.get(metadata.namespace, reference.name)

    async def _write(self, budget: PodDisruptionBudget, status: dict[str, Any]) -> None:
        known = msgspec.to_builtins(budget.status)
        changed = {name: value for name, value in status.items() if value != known.get(name, type(value)())}
        if not changed:
            return
        if "disruptedPods" in changed:
            changed["disruptedPods"] = dict.fromkeys(budget.status.disrupted_pods or ()) | changed["disruptedPods"]
        meta = budget.metadata
        # An eviction spends from the same numbers: who counted before it has to count again.
        body = {"metadata": {"uid": meta.uid, "resourceVersion": meta.resource_version}, "status": changed}
        try:
            answer = await self._client.patch(POD_DISRUPTION_BUDGETS, meta.name, body, meta.namespace, subresource="status")
        except StatusError as error:
            if is_conflict(error) or is_not_found(error):
                return  # its change, or its end, comes by the informer
            raise
        self._budgets.absorb(answer)

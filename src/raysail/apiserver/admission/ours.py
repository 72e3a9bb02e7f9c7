"""What KubeRay's and Kueue's webhooks do, in process: pure functions of `api.ray` and `api.kueue`, shown the store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raysail.api.kueue import admission as kueue
from raysail.api.ray import admission as ray
from raysail.api.resources import Resource
from raysail.apiserver.admission.chain import Operation
from raysail.apiserver.registry import Registry
from raysail.apiserver.rest.call import decoded, key_of
from raysail.apiserver.store import Store


class RayRules:
    """KubeRay's validating webhooks."""

    mutating = False

    def concerns(self, resource: Resource) -> bool:
        """Ray's kinds."""
        return ray.concerns(resource)

    def admit(self, operation: Operation) -> None:
        """They fill in nothing."""

    def validate(self, operation: Operation) -> None:
        """Raises StatusError for what they refuse."""
        if operation.object is None or operation.subresource:
            return
        refusal = ray.review(operation.definition.resource, operation.object, operation.verb.upper())
        if refusal is not None:
            raise refusal


class QueueRules:
    """Kueue's webhooks: a job that names a queue is suspended before anybody sees it."""

    mutating = True

    def __init__(self, store: Store, registry: Registry, settings: kueue.AdmissionSettings) -> None:
        self._store = store
        self._registry = registry
        self._settings = settings

    def concerns(self, resource: Resource) -> bool:
        """Kueue's kinds and those of the jobs it holds."""
        return kueue.concerns(resource)

    def admit(self, operation: Operation) -> None:
        """Fills in what Kueue's mutating webhooks do. Raises StatusError where they refuse."""
        if operation.object is not None:
            kueue.mutate(
                operation.definition.resource,
                operation.object,
                operation.old,
                operation.verb.upper(),
                self._lookup,
                self._settings,
                operation.subresource,
            )

    def validate(self, operation: Operation) -> None:
        """Raises StatusError for what Kueue's validating webhooks refuse."""
        if operation.object is None:
            return
        verdict = kueue.review(
            operation.definition.resource,
            operation.object,
            operation.old,
            operation.verb.upper(),
            self._lookup,
            self._settings,
            operation.subresource,
        )
        operation.warnings += verdict.warnings
        refusal = verdict.error()
        if refusal is not None:
            raise refusal

    def _lookup(self, resource: Resource, namespace: str, name: str) -> Mapping[str, Any] | None:
        definition = self._registry.find(resource.group, resource.version, resource.plural)
        if definition is None:
            return None
        record = self._store.latest(definition.collection, key_of(definition, namespace, name))
        return decoded(definition, record.object()) if record is not None else None

"""Keeps the EndpointSlices and Endpoints of each Service with a selector."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import msgspec

from raysail.api.core import Endpoints, Pod, Service
from raysail.api.discovery import MANAGED_BY_LABEL, SERVICE_NAME_LABEL, EndpointSlice
from raysail.api.errors import StatusError, is_not_found
from raysail.api.resources import ENDPOINT_SLICES, ENDPOINTS, PODS, SERVICES
from raysail.builtin.endpoints.slices import (
    ENDPOINTS_MANAGED_BY_LABEL,
    ENDPOINTS_MANAGER,
    MANAGER,
    JsonObject,
    endpoint_slices,
    endpoints,
    has_endpoints,
)
from raysail.builtin.settings import BuiltinSettings
from raysail.kube.controller import Controller, Key
from raysail.kube.manager import Manager


def register(manager: Manager, settings: BuiltinSettings) -> None:
    """Adds it to a process."""
    manager.add(ServiceEndpoints(manager).controller)


def _service_of(found: EndpointSlice) -> Iterable[Key]:
    name = (found.metadata.labels or {}).get(SERVICE_NAME_LABEL)
    return [(found.metadata.namespace, name)] if name else []


class ServiceEndpoints:
    """Keys are Services."""

    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self._services = manager.informer(SERVICES, Service)
        self._pods = manager.informer(PODS, Pod)
        self._slices = manager.informer(
            ENDPOINT_SLICES, EndpointSlice, {"service": _service_of}, label_selector=f"{MANAGED_BY_LABEL}={MANAGER}"
        )
        self._endpoints = manager.informer(ENDPOINTS, Endpoints)
        self.controller = Controller("endpoints", self.reconcile, concurrency=4)
        self.controller.watches(self._services)
        self.controller.watches(self._slices, _service_of)
        self._endpoints.on_change(self._endpoints_changed)
        self._pods.on_change(self._pod_changed)

    def _endpoints_changed(self, old: Endpoints | None, new: Endpoints | None) -> None:
        obj = new or old
        if obj is not None and _is_ours(obj):
            self.controller.enqueue(obj.metadata.key)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        if old is not None and new is not None and _seen(old) == _seen(new):
            return
        for pod in (old, new):
            if pod is None or not pod.metadata.labels:
                continue
            for service in self._services.list(pod.metadata.namespace):
                if _selects(service, pod):
                    self.controller.enqueue(service.metadata.key)

    async def reconcile(self, key: Key) -> float | None:
        """Makes the slices and Endpoints of one Service what they should be."""
        service = self._services.get(*key)
        if service is None or not has_endpoints(service):
            # Slices go with their Service by their owner reference; Endpoints have none.
            await self._delete_endpoints(key)
            return None
        if service.metadata.deletion_timestamp is not None:
            return None
        pods = [pod for pod in self._pods.list(key[0]) if _selects(service, pod)]
        try:
            await self._write_slices(service, endpoint_slices(service, pods))
            await self._write_endpoints(endpoints(service, pods))
        except StatusError as error:
            if not (is_not_found(error) or error.reason == "Forbidden"):  # the namespace is going
                raise
        return None

    async def _write_slices(self, service: Service, wanted: list[JsonObject]) -> None:
        namespace = service.metadata.namespace
        present = {found.metadata.name: found for found in self._slices.by_index("service", service.metadata.key)}
        writes = []
        for wire in wanted:
            found = present.pop(wire["metadata"]["name"], None)
            if found is None:
                writes.append(self._client.create(ENDPOINT_SLICES, wire, namespace))
            elif not _equal(found, wire):
                body = {"metadata": {"labels": wire["metadata"]["labels"]}, "endpoints": wire["endpoints"], "ports": wire["ports"]}
                writes.append(self._client.patch(ENDPOINT_SLICES, found.metadata.name, body, namespace))
        for answer in await asyncio.gather(*writes):
            self._slices.absorb(answer)
        # New slices first, so that no address is missing for a moment.
        for stale in present.values():
            if stale.metadata.deletion_timestamp is None:
                await self._client.delete(ENDPOINT_SLICES, stale.metadata.name, namespace, uid=stale.metadata.uid)

    async def _write_endpoints(self, wire: JsonObject) -> None:
        meta = wire["metadata"]
        found = self._endpoints.get(meta["namespace"], meta["name"])
        if found is None:
            self._endpoints.absorb(await self._client.create(ENDPOINTS, wire, meta["namespace"]))
            return
        view = msgspec.convert(wire, Endpoints)
        if (found.subsets or None, found.metadata.labels) != (view.subsets, view.metadata.labels):
            body = {"metadata": {"labels": meta["labels"]}, "subsets": wire.get("subsets")}
            self._endpoints.absorb(await self._client.patch(ENDPOINTS, meta["name"], body, meta["namespace"]))

    async def _delete_endpoints(self, key: Key) -> None:
        found = self._endpoints.get(*key)
        if found is None or not _is_ours(found):
            return
        try:
            await self._client.delete(ENDPOINTS, key[1], key[0], uid=found.metadata.uid)
        except StatusError as error:
            if not is_not_found(error):
                raise


def _selects(service: Service, pod: Pod) -> bool:
    selector, labels = service.spec.selector, pod.metadata.labels or {}
    return bool(selector) and all(labels.get(name) == value for name, value in (selector or {}).items())


def _seen(pod: Pod) -> tuple[Any, ...]:
    """All of a Pod that slices are made of."""
    ready = next((c.status for c in pod.status.conditions or () if c.type == "Ready"), "")
    status, spec = pod.status, pod.spec
    return (
        pod.metadata.labels,
        pod.metadata.uid,
        pod.metadata.deletion_timestamp,
        status.pod_ip,
        status.phase,
        ready,
        spec.node_name,
        spec.hostname,
    )


def _is_ours(found: Endpoints) -> bool:
    return (found.metadata.labels or {}).get(ENDPOINTS_MANAGED_BY_LABEL) == ENDPOINTS_MANAGER


def _equal(found: EndpointSlice, wire: JsonObject) -> bool:
    view = msgspec.convert(wire, EndpointSlice)
    return (found.endpoints or [], found.ports or [], found.metadata.labels) == (view.endpoints, view.ports, view.metadata.labels)

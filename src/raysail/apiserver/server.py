"""The API as one thing: store, kinds, rules and door put together. `process` gives it sockets and signals."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from raysail.api.resources import Resource
from raysail.apiserver import bootstrap, subresources
from raysail.apiserver.access.pki import Pki
from raysail.apiserver.admission import Admission, Plugin, kubernetes
from raysail.apiserver.admission.grants import NoEscalation
from raysail.apiserver.admission.ours import QueueRules, RayRules
from raysail.apiserver.aggregation import Aggregation
from raysail.apiserver.custom_kinds import CustomKinds
from raysail.apiserver.customresources import DefinitionStrategy
from raysail.apiserver.discovery import Discovery, Pages
from raysail.apiserver.gate import StoreGate
from raysail.apiserver.kinds import strategy_of
from raysail.apiserver.kueue_versions import conversion_of
from raysail.apiserver.openapi import OpenApiPages
from raysail.apiserver.registry import Registry
from raysail.apiserver.registry.builtin import builtin_definitions
from raysail.apiserver.registry.event_conversion import EventConversion
from raysail.apiserver.rest.app import Application
from raysail.apiserver.rest.call import Shared
from raysail.apiserver.rest.ownership import Ownership
from raysail.apiserver.settings import ApiSettings
from raysail.apiserver.store import Change, Store, StoreSettings
from raysail.apiserver.strategy import Strategy
from raysail.apiserver.tables import columns_of

log = logging.getLogger(__name__)


class ApiServer:
    """Everything but the sockets. Made inside the event loop it serves in."""

    def __init__(
        self,
        settings: ApiSettings,
        pki: Pki,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        address: tuple[str, int] | None = None,
    ) -> None:
        """`address` is where Pods reach the API over TCP, if they do."""
        self.settings = settings
        self._address = address
        self.store = Store(StoreSettings(settings.data / "store.db", history_changes=settings.history_changes))
        self.registry = Registry()
        for definition in builtin_definitions(_strategy_of, _columns_of, EventConversion()):
            self.registry.add(definition)
        self.gate = StoreGate(self.store, settings.admin_tokens, pki.service_account_key.read_bytes(), now)
        self.custom_kinds = CustomKinds(self.store, self.registry, now, conversion_of)
        shared = Shared(self.store, self.registry, self._admission(), Ownership(self.registry), now, settings.limits)
        pages = Pages(Discovery(self.registry), OpenApiPages(self.registry), {"ping": lambda: "", "store": self._store_health})
        self.application = Application(shared, self.gate, pages)
        subresources.install(self.application, self.gate)
        self.application.elsewhere = Aggregation(self.store).answer
        self._sweeper: asyncio.Task[None] | None = None
        self._publishing: asyncio.Task[None] | None = None

    def _admission(self) -> Admission:
        settings = self.settings
        plugins: list[Plugin] = list(kubernetes.first(self.store, settings.service_cidr, settings.node_ports))
        if "ray" in settings.admission:
            plugins.append(RayRules())
        if "queue" in settings.admission:
            plugins.append(QueueRules(self.store, self.registry, settings.queue_admission))
        plugins.append(NoEscalation(self.gate.authorizer))
        plugins += kubernetes.last(self.store)
        return Admission([plugin for plugin in plugins if type(plugin).__name__ not in settings.disabled_admission])

    async def start(self) -> None:
        """Serves custom kinds and makes what every cluster has."""
        self.custom_kinds.start()
        self._sweeper = asyncio.create_task(self.application.streams.sweep())
        await bootstrap.install(self.application.shared, with_crds=self.settings.install_crds)
        if self._address is not None:
            await self._publish()
            for collection in ("services", "endpoints", "endpointslices.discovery.k8s.io"):
                self.store.on_commit(collection, self._keep_published)

    async def _publish(self) -> None:
        if self._address is not None:
            await bootstrap.publish(self.application.shared, *self._address, self.settings.service_cidr)

    def _keep_published(self, change: Change) -> None:
        """Where the API is found comes back when somebody deletes it."""
        if change.new is None and change.key == "default/kubernetes":
            self._publishing = asyncio.create_task(self._publish())

    async def close(self) -> None:
        """Writes what is under way, then closes the store."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        await self.custom_kinds.close()
        await self.store.close()

    def _store_health(self) -> str:
        if not self.store.corrupt:
            return ""
        return "damaged records: " + ", ".join(f"{collection} {key}" for collection, key in self.store.corrupt)


def _strategy_of(resource: Resource) -> Strategy:
    return DefinitionStrategy() if resource.kind == "CustomResourceDefinition" else strategy_of(resource)


def _columns_of(resource: Resource) -> Any:
    return columns_of(resource.group, resource.kind)

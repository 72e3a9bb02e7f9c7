"""Attaching the process to an API server: listener, certificate, CRDs, registration, in the order in which nothing is asked before it can be answered."""

from __future__ import annotations

import asyncio
import ssl

from raysail.api.crds import KUEUE_KINDS, RAY_KINDS
from raysail.kube.client import Client
from raysail.operator.settings import QUEUE, RAY, OperatorSettings, RegistrationError, WebhookSettings
from raysail.operator.webhooks import certificate, configurations
from raysail.operator.webhooks.certificate import Certificate
from raysail.operator.webhooks.configurations import Endpoint
from raysail.operator.webhooks.registration import MUTATING, VALIDATING, install_crds, persistently, put, wire_conversion
from raysail.operator.webhooks.server import WebhookServer


class Attachment:
    """What was opened; `close` ends it. The registrations stay: as with Kueue, jobs are not let past the queue while it is away for a moment."""

    def __init__(self, settings: OperatorSettings, client: Client) -> None:
        self._settings = settings
        self._client = client
        self._server: WebhookServer | None = None

    async def open(self) -> None:
        """Does it all, waiting for the API where it is away. Raises RegistrationError, OSError."""
        endpoint: Endpoint | None = None
        if self._settings.webhooks is not None:
            endpoint = await self._listen(self._settings.webhooks)
        if self._settings.install:
            kinds = [
                *(RAY_KINDS if RAY in self._settings.controllers else ()),
                *(KUEUE_KINDS if QUEUE in self._settings.controllers else ()),
            ]
            names = [kind.crd_name for kind in kinds]
            await persistently("install the CustomResourceDefinitions", lambda: install_crds(self._client, names, endpoint), asyncio.sleep)
        if self._settings.webhooks is not None and endpoint is not None:
            reached, webhooks = endpoint, self._settings.webhooks
            await persistently("register the webhooks", lambda: self._register(reached, webhooks), asyncio.sleep)

    async def close(self) -> None:
        """Stops listening."""
        if self._server is not None:
            await self._server.close()

    async def _listen(self, webhooks: WebhookSettings) -> Endpoint:
        found = await self._certificate(webhooks)
        self._server = WebhookServer(self._client, webhooks.admission)
        try:
            port = await self._server.open(webhooks.host, webhooks.port, found.server_context())
        except ssl.SSLError as error:
            raise RegistrationError(f"the webhooks' certificate cannot be used: {error}") from error
        host = f"[{webhooks.reached_host}]" if ":" in webhooks.reached_host else webhooks.reached_host
        return Endpoint(webhooks.url or f"https://{host}:{port}", webhooks.service, found.authority)

    async def _certificate(self, webhooks: WebhookSettings) -> Certificate:
        if webhooks.certificate_folder is not None:
            return certificate.from_folder(webhooks.certificate_folder)
        if webhooks.certificate_secret is None:
            return certificate.own(webhooks.names())
        namespace, name = webhooks.certificate_secret
        made: list[Certificate] = []

        async def read() -> None:
            made.append(await certificate.shared(self._client, namespace, name, webhooks.names()))

        await persistently(f"read the certificate in Secret {namespace}/{name}", read, asyncio.sleep)
        return made[0]

    async def _register(self, endpoint: Endpoint, webhooks: WebhookSettings) -> None:
        if QUEUE in self._settings.controllers:
            await wire_conversion(self._client, endpoint)
            await put(self._client, MUTATING, configurations.mutating(endpoint, webhooks.admission))
            await put(self._client, VALIDATING, configurations.validating(endpoint, webhooks.admission))
        if RAY in self._settings.controllers and webhooks.ray:
            await put(self._client, VALIDATING, configurations.validating_ray(endpoint))

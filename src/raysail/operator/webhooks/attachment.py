"""Attaching the process to an API server: listeners, certificate, CRDs, registration, in the order in which nothing is asked before it can be answered."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from raysail.api.crds import KUEUE_KINDS, RAY_KINDS
from raysail.api.resources import SERVICES
from raysail.kube.client import Client
from raysail.kube.manager import ExtensionApi
from raysail.operator.extension.front_proxy import FrontProxy, read_front_proxy
from raysail.operator.extension.handler import ExtensionHandler
from raysail.operator.extension.registration import API_SERVICES, api_services, embedded_api_services, external_service
from raysail.operator.extension.socket import SocketServer
from raysail.operator.settings import OUTSIDE, QUEUE, RAY, OperatorSettings, RegistrationError, WebhookSettings
from raysail.operator.webhooks import certificate, configurations
from raysail.operator.webhooks.certificate import Certificate
from raysail.operator.webhooks.configurations import Endpoint
from raysail.operator.webhooks.registration import MUTATING, VALIDATING, install_crds, persistently, put, wire_conversion
from raysail.operator.webhooks.server import WebhookServer

logger = logging.getLogger(__name__)


class Attachment:
    """What was opened; `close` ends it. The registrations stay: as with Kueue, jobs are not let past the queue while it is away for a moment."""

    def __init__(self, settings: OperatorSettings, client: Client, apis: Mapping[str, ExtensionApi], ready: Callable[[], bool]) -> None:
        """`apis`: the API groups that are answered here, once the controllers are `ready`."""
        self._ready = ready
        self._settings = settings
        self._client = client
        self._apis = apis
        self._front_proxy: FrontProxy | None = None
        self._port = 0
        self._server: WebhookServer | None = None
        self._socket: SocketServer | None = None

    async def open(self) -> None:
        """Does it all, waiting for the API where it is away. Raises RegistrationError, OSError."""
        if self._settings.extension_socket is not None and self._apis:
            self._socket = await SocketServer.open(ExtensionHandler(self._apis, None, self._ready), self._settings.extension_socket)
            await persistently("register the visibility API", self._register_socket, asyncio.sleep)
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
        if self._socket is not None:
            await self._socket.close()
        if self._server is not None:
            await self._server.close()

    async def _listen(self, webhooks: WebhookSettings) -> Endpoint:
        found = await self._certificate(webhooks)
        await persistently("read how the API server's front proxy is known", self._read_front_proxy, asyncio.sleep)
        more = ExtensionHandler(self._apis, self._front_proxy, self._ready).routes() if self._front_proxy is not None else ()
        self._server = WebhookServer(self._client, webhooks.admission, more)
        try:
            context = found.server_context()
            if self._front_proxy is not None:
                self._front_proxy.trust(context)
            port = await self._server.open(webhooks.host, webhooks.port, context)
        except ssl.SSLError as error:
            raise RegistrationError(f"the webhooks' certificate cannot be used: {error}") from error
        self._port = port
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
        if self._apis and self._front_proxy is not None:
            await self._register_apis(endpoint, webhooks)

    async def _read_front_proxy(self) -> None:
        if self._apis:
            self._front_proxy = await read_front_proxy(self._client)
            if self._front_proxy is None:
                logger.info("the API server has no aggregation layer (requestheader-client-ca-file): no visibility API")

    async def _register_apis(self, endpoint: Endpoint, webhooks: WebhookSettings) -> None:
        service = endpoint.service
        if service is None:
            url = urlsplit(endpoint.url)
            service = replace(OUTSIDE, port=url.port or 443)
            await put(self._client, SERVICES, external_service(service, url.hostname or webhooks.reached_host), service.namespace)
        for api_service in api_services(service, endpoint.authority):
            await put(self._client, API_SERVICES, api_service)

    async def _register_socket(self) -> None:
        for api_service in embedded_api_services(str(self._settings.extension_socket)):
            await put(self._client, API_SERVICES, api_service)

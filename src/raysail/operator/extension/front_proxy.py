"""How Kubernetes' API server proves to an aggregated one who it is: a client certificate of its front proxy.

It publishes the authority and the names in the ConfigMap kube-system/extension-apiserver-authentication. They are read once, at the start.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from aiohttp import web

from raysail.api.errors import is_not_found
from raysail.api.resources import CONFIG_MAPS
from raysail.kube.client import Client

logger = logging.getLogger(__name__)

NAMESPACE: Final = "kube-system"
CONFIG_MAP: Final = "extension-apiserver-authentication"


@dataclass(frozen=True, slots=True)
class FrontProxy:
    """Its authority (PEM), and the common names it may have (none: any)."""

    authority: str
    names: frozenset[str]

    def trust(self, context: ssl.SSLContext) -> None:
        """Has the listener ask for the certificate, without insisting: webhooks are called without one. Raises ssl.SSLError."""
        context.load_verify_locations(cadata=self.authority)
        context.verify_mode = ssl.CERT_OPTIONAL

    def is_peer(self, request: web.Request) -> bool:
        """Whether the request came over a connection that showed such a certificate (TLS has verified it against the authority)."""
        shown = request.transport.get_extra_info("peercert") if request.transport is not None else None
        if not shown:
            return False
        names = {value for part in shown.get("subject", ()) for key, value in part if key == "commonName"}
        return not self.names or bool(names & self.names)


def from_config_map(data: Mapping[str, str]) -> FrontProxy | None:
    """From the ConfigMap's data; None where the API server runs without aggregation."""
    authority = data.get("requestheader-client-ca-file", "")
    if not authority.strip():
        return None
    names: list[Any] = orjson.loads(data.get("requestheader-allowed-names") or "[]")
    return FrontProxy(authority, frozenset(str(name) for name in names))


async def read_front_proxy(client: Client) -> FrontProxy | None:
    """What the API server says; None where it has no aggregation layer. Raises StatusError, ConnectionError."""
    try:
        found = await client.get(CONFIG_MAPS, CONFIG_MAP, NAMESPACE)
    except Exception as error:
        if is_not_found(error):
            return None
        raise
    return from_config_map(found.get("data") or {})

"""The tokens of clusters with token authentication, read from their Secrets and kept until the Secret changes or a dashboard refuses them."""

from __future__ import annotations

import base64
import binascii

from raysail.api.errors import StatusError
from raysail.api.ray import RayCluster
from raysail.api.resources import SECRETS
from raysail.kube.client import Client
from raysail.ray.pods import authentication


class TokenError(Exception):
    """The token cannot be had."""


class Tokens:
    """`of(cluster)` for a cluster with its effective authOptions."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known: dict[tuple[str, str, str], str] = {}

    async def of(self, cluster: RayCluster) -> str:
        """The token; empty where none is needed. Raises TokenError."""
        options = cluster.spec.auth_options
        if not authentication.is_enabled(options):
            return ""
        name, namespace = authentication.secret_name(cluster.metadata.name, options), cluster.metadata.namespace
        key = (namespace, name, cluster.metadata.uid)
        if key not in self._known:
            self._known[key] = await self._read(namespace, name)
        return self._known[key]

    def forget(self, cluster: RayCluster) -> None:
        """The next `of` reads the Secret anew."""
        name = authentication.secret_name(cluster.metadata.name, cluster.spec.auth_options)
        self._known.pop((cluster.metadata.namespace, name, cluster.metadata.uid), None)

    async def _read(self, namespace: str, name: str) -> str:
        try:
            secret = await self._client.get(SECRETS, name, namespace)
        except (StatusError, ConnectionError) as error:
            raise TokenError(f"failed to get auth secret {namespace}/{name}: {error}") from error
        encoded = (secret.get("data") or {}).get(authentication.TOKEN_KEY)
        if encoded is None:
            raise TokenError(f"auth token key '{authentication.TOKEN_KEY}' not found in secret {namespace}/{name}")
        try:
            return base64.b64decode(encoded).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise TokenError(f"auth token in secret {namespace}/{name} is not text in base64") from error

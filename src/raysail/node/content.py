"""What Pods need of other objects: ConfigMaps, Secrets, claims, tokens, Services. Read from shared informers, and from the API where those lag."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from raysail.api.core.pod import Pod
from raysail.api.core.service import Service
from raysail.api.core.settings import ConfigMap, Secret
from raysail.api.core.storage import PersistentVolume, PersistentVolumeClaim
from raysail.api.discovery import EndpointSlice
from raysail.api.errors import StatusError, is_not_found
from raysail.api.resources import (
    CONFIG_MAPS,
    ENDPOINT_SLICES,
    PERSISTENT_VOLUME_CLAIMS,
    PERSISTENT_VOLUMES,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
)
from raysail.kube.informer import Informer
from raysail.kube.manager import Manager
from raysail.node.environment import Sources, decode_secret
from raysail.node.volumes import Objects, TokenRequest, VolumeError, token_requests

logger = logging.getLogger(__name__)

_REFRESH_AT: Final = 0.8
"""A token is renewed when this part of its life is over, as the kubelet does."""


@dataclass(slots=True)
class Tokens:
    """The tokens of one Pod, and when the first of them is to be renewed (seconds since the epoch)."""

    issued: dict[tuple[str, str], str] = field(default_factory=dict)
    renew_at: dict[tuple[str, str], float] = field(default_factory=dict)

    def due(self, requests: Iterable[TokenRequest], now: float) -> list[TokenRequest]:
        """Those that are missing or old."""
        return [r for r in requests if self.renew_at.get((r.volume, r.path), 0) <= now]


class Content:
    """Shared by all Pods of the agent."""

    def __init__(self, manager: Manager) -> None:
        self._client = manager.client
        self.services = manager.informer(SERVICES, Service)
        self.slices = manager.informer(ENDPOINT_SLICES, EndpointSlice)
        self.config_maps = manager.informer(CONFIG_MAPS, ConfigMap)
        self.secrets = manager.informer(SECRETS, Secret)
        self._claims = manager.informer(PERSISTENT_VOLUME_CLAIMS, PersistentVolumeClaim)
        self._volumes = manager.informer(PERSISTENT_VOLUMES, PersistentVolume)

    async def fetch(self, pod: Pod, tokens: Tokens) -> None:
        """Gets what the Pod names and the informers do not have yet, and its tokens. Raises VolumeError, ConnectionError."""
        namespace = pod.metadata.namespace
        for name in _config_maps_of(pod):
            await self._ensure(self.config_maps, namespace, name)
        for name in _secrets_of(pod):
            await self._ensure(self.secrets, namespace, name)
        for request in tokens.due(token_requests(pod), time.time()):
            await self._issue(pod, request, tokens)

    def objects(self, pod: Pod, tokens: Tokens, status_fields: Mapping[str, str], allocatable: Mapping[str, str]) -> Objects:
        """What the Pod may read, as of now."""
        namespace = pod.metadata.namespace

        def config_map(name: str) -> ConfigMap | None:
            return self.config_maps.get(namespace, name)

        def secret(name: str) -> Secret | None:
            return self.secrets.get(namespace, name)

        def config_map_texts(name: str) -> Mapping[str, str] | None:
            found = config_map(name)
            return None if found is None else found.data or {}

        def secret_texts(name: str) -> Mapping[str, str] | None:
            found = secret(name)
            return None if found is None else decode_secret(found.data)

        sources = Sources(config_map_texts, secret_texts, status_fields, allocatable)
        return Objects(config_map, secret, lambda name: self._claim_path(namespace, name), tokens.issued, sources)

    def services_for(self, pod: Pod) -> list[Service]:
        """Services whose variables the Pod gets: those of its namespace."""
        return self.services.list(pod.metadata.namespace)

    async def _ensure(self, informer: Informer[Any], namespace: str, name: str) -> None:
        if informer.get(namespace, name) is None:
            try:
                informer.absorb(await self._client.get(informer.resource, name, namespace))
            except StatusError as error:
                if not is_not_found(error):
                    raise  # whether its absence matters is decided where it is used

    def _claim_path(self, namespace: str, name: str) -> Path | None:
        claim = self._claims.get(namespace, name)
        volume = self._volumes.get("", claim.spec.volume_name) if claim is not None and claim.spec.volume_name else None
        if volume is None:
            return None
        place = volume.spec.local or volume.spec.host_path or {}
        return Path(place["path"]) if place.get("path") else None

    async def _issue(self, pod: Pod, request: TokenRequest, tokens: Tokens) -> None:
        meta = pod.metadata
        body: dict[str, Any] = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "audiences": [request.audience] if request.audience else [],
                "expirationSeconds": request.expiration_seconds,
                "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": meta.name, "uid": meta.uid},
            },
        }
        account = pod.spec.service_account_name or "default"
        try:
            answer = await self._client.create(SERVICE_ACCOUNTS, body, meta.namespace, name=account, subresource="token")
        except StatusError as error:
            raise VolumeError(f'MountVolume.SetUp failed for volume "{request.volume}" : failed to fetch token: {error}') from error
        key = (request.volume, request.path)
        tokens.issued[key] = answer["status"]["token"]
        tokens.renew_at[key] = time.time() + request.expiration_seconds * _REFRESH_AT


def _config_maps_of(pod: Pod) -> set[str]:
    names = {v.config_map.name for v in pod.spec.volumes or () if v.config_map}
    for volume in pod.spec.volumes or ():
        for source in (volume.projected.sources if volume.projected else None) or ():
            names |= {source.config_map.name} if source.config_map else set()
    for container in (*pod.spec.containers, *(pod.spec.init_containers or ())):
        names |= {s.config_map_ref.name for s in container.env_from or () if s.config_map_ref}
        names |= {e.value_from.config_map_key_ref.name for e in container.env or () if e.value_from and e.value_from.config_map_key_ref}
    return names


def _secrets_of(pod: Pod) -> set[str]:
    names = {v.secret.secret_name for v in pod.spec.volumes or () if v.secret}
    for volume in pod.spec.volumes or ():
        for source in (volume.projected.sources if volume.projected else None) or ():
            names |= {source.secret.name} if source.secret else set()
    for container in (*pod.spec.containers, *(pod.spec.init_containers or ())):
        names |= {s.secret_ref.name for s in container.env_from or () if s.secret_ref}
        names |= {e.value_from.secret_key_ref.name for e in container.env or () if e.value_from and e.value_from.secret_key_ref}
    return names

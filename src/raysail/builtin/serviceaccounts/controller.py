"""Gives each namespace the service account `default` and the ConfigMap `kube-root-ca.crt`.

As k8s.io/kubernetes pkg/controller/serviceaccount and pkg/controller/certificates/rootcacertpublisher.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from raysail.api.core import ConfigMap, Namespace
from raysail.api.errors import StatusError, is_already_exists, is_not_found
from raysail.api.meta import Object
from raysail.api.resources import CONFIG_MAPS, NAMESPACES, SERVICE_ACCOUNTS
from raysail.builtin.settings import BuiltinSettings
from raysail.kube.controller import Controller, Key
from raysail.kube.manager import Manager

ROOT_CA_CONFIG_MAP: Final = "kube-root-ca.crt"
DEFAULT_ACCOUNT: Final = "default"
_DESCRIPTION: Final = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters."


def register(manager: Manager, settings: BuiltinSettings) -> None:
    """Adds it to a process. Without a certificate authority no ConfigMap is written."""
    manager.add(ServiceAccounts(manager, settings.root_ca_file).controller)


class ServiceAccounts:
    """Keys are ("", namespace)."""

    def __init__(self, manager: Manager, root_ca_file: Path | None) -> None:
        self._client = manager.client
        self._root_ca_file = root_ca_file
        self._root_ca_pem = ""
        self._namespaces = manager.informer(NAMESPACES, Namespace)
        self._accounts = manager.informer(SERVICE_ACCOUNTS, Object, field_selector=f"metadata.name={DEFAULT_ACCOUNT}", metadata_only=True)
        self._config_maps = manager.informer(CONFIG_MAPS, ConfigMap, field_selector=f"metadata.name={ROOT_CA_CONFIG_MAP}")
        self.controller = Controller("serviceaccount", self.reconcile, concurrency=4)
        self.controller.watches(self._namespaces)
        self.controller.watches(self._accounts, lambda obj: [("", obj.metadata.namespace)])
        self.controller.watches(self._config_maps, lambda obj: [("", obj.metadata.namespace)])

    async def reconcile(self, key: Key) -> float | None:
        """Makes what is missing, repairs the certificate."""
        namespace = self._namespaces.get(*key)
        if namespace is None or namespace.metadata.deletion_timestamp is not None:
            return None
        name = namespace.metadata.name
        try:
            if self._accounts.get(name, DEFAULT_ACCOUNT) is None:
                body = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": DEFAULT_ACCOUNT, "namespace": name}}
                self._accounts.absorb(await self._client.create(SERVICE_ACCOUNTS, body, name))
            await self._publish_ca(name)
        except StatusError as error:
            # The namespace has begun to go, or another process was quicker.
            if not (is_not_found(error) or is_already_exists(error) or error.reason == "Forbidden"):
                raise
        return None

    async def _publish_ca(self, namespace: str) -> None:
        if self._root_ca_file is None:
            return
        if not self._root_ca_pem:
            self._root_ca_pem = await asyncio.to_thread(self._root_ca_file.read_text)
        present = self._config_maps.get(namespace, ROOT_CA_CONFIG_MAP)
        data = {"ca.crt": self._root_ca_pem}
        if present is None:
            body = {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {
                    "name": ROOT_CA_CONFIG_MAP,
                    "namespace": namespace,
                    "annotations": {"kubernetes.io/description": _DESCRIPTION},
                },
                "data": data,
            }
            self._config_maps.absorb(await self._client.create(CONFIG_MAPS, body, namespace))
        elif present.data != data:
            answer = await self._client.patch(CONFIG_MAPS, ROOT_CA_CONFIG_MAP, {"data": data}, namespace)
            self._config_maps.absorb(answer)

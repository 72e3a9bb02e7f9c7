"""Kubernetes' own chain, in its order (pkg/kubeapiserver/options/plugins.go)."""

from __future__ import annotations

from collections.abc import Iterator

from raysail.apiserver.admission.chain import Plugin
from raysail.apiserver.admission.limits import LimitRanger
from raysail.apiserver.admission.namespaces import NamespaceLifecycle
from raysail.apiserver.admission.pods import DefaultTolerations, RuntimeClasses, ServiceAccounts
from raysail.apiserver.admission.priority import Priority
from raysail.apiserver.admission.quotas import ResourceQuotas
from raysail.apiserver.admission.services import ServiceAddresses
from raysail.apiserver.admission.storage import DefaultStorageClass, NodeTaint, ProtectionOfUsedVolumes
from raysail.apiserver.store import Store


def first(store: Store, service_cidr: str, node_ports: tuple[int, int]) -> Iterator[Plugin]:
    """Everything but quotas."""
    yield NamespaceLifecycle(store)
    yield ServiceAccounts(store)
    yield NodeTaint()
    yield LimitRanger(store)
    yield Priority(store)
    yield DefaultTolerations()
    yield DefaultStorageClass(store)
    yield ProtectionOfUsedVolumes()
    yield RuntimeClasses(store)
    yield ServiceAddresses(store, service_cidr, node_ports)


def last(store: Store) -> Iterator[Plugin]:
    """Quotas count what all others have let through."""
    yield ResourceQuotas(store)

"""Where a Service's name leads, by what the API knows: for a process outside Pods, which cannot ask the cluster's DNS."""

from __future__ import annotations

from raysail.api.core.pod import Pod
from raysail.api.core.service import Service
from raysail.api.ray import names
from raysail.api.resources import PODS, SERVICES
from raysail.kube.manager import Manager
from raysail.ray.cluster.controller import PODS_OF_CLUSTER, cluster_of_pod
from raysail.ray.cluster.pods import ROLES_SELECTOR, is_terminating
from raysail.ray.cluster.surroundings import HEAD_SERVICES, head_service_keys
from raysail.ray.dashboard import Addresses


def addresses_of_services(manager: Manager) -> Addresses:
    """A function from `service.namespace.svc...` to an address: the Service's own, or of a Ray Pod behind it where it has none."""
    services = manager.informer(SERVICES, Service, {HEAD_SERVICES: head_service_keys})
    pods = manager.informer(PODS, Pod, {PODS_OF_CLUSTER: cluster_of_pod}, label_selector=ROLES_SELECTOR)

    def address(name: str) -> str | None:
        service_name, namespace, *_ = name.split(".")
        service = services.get(namespace, service_name)
        if service is None:
            return None
        if service.spec.cluster_ip and not service.spec.headless:
            return service.spec.cluster_ip
        selector = service.spec.selector or {}
        found = pods.by_index(PODS_OF_CLUSTER, (namespace, selector.get(names.CLUSTER_LABEL, "")))
        behind = [pod for pod in found if selector.items() <= (pod.metadata.labels or {}).items() and pod.status.pod_ip]
        behind.sort(key=is_terminating)
        return behind[0].status.pod_ip if behind else None

    return address

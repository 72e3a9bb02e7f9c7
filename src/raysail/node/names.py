"""Which names resolve inside Pods: the text of their hosts files. Pure.

Kubernetes' DNS as far as it answers with addresses: a headless Service's name gives its ready Pods (all of them where it publishes those that are not
ready), a ClusterIP Service's name its own address; a Pod with `hostname` and `subdomain` has a name under its headless Service. A name is known in its
short forms too, since a hosts file has no search path.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from raysail.api.core.pod import Pod
from raysail.api.core.service import Service
from raysail.api.discovery import SERVICE_NAME_LABEL, EndpointSlice

Records = dict[tuple[str, str], tuple[str, ...]]
"""(namespace, name in that namespace) -> addresses. The name of a Pod under a Service is `hostname.service`."""


def records(services: Iterable[Service], slices: Iterable[EndpointSlice]) -> Records:
    """What each name in each namespace stands for."""
    by_service: dict[tuple[str, str], list[EndpointSlice]] = defaultdict(list)
    for slice_ in slices:
        name = (slice_.metadata.labels or {}).get(SERVICE_NAME_LABEL)
        if name:
            by_service[slice_.metadata.namespace, name].append(slice_)
    found: Records = {}
    for service in services:
        key = service.metadata.key
        if not service.spec.headless:
            if service.spec.cluster_ip:
                found[key] = (service.spec.cluster_ip,)
            continue
        ready: list[str] = []
        for slice_ in by_service[key]:
            for endpoint in slice_.endpoints or ():
                if endpoint.conditions.ready is False and not service.spec.publish_not_ready_addresses:
                    continue
                ready += endpoint.addresses or ()
                if endpoint.hostname:
                    found[key[0], f"{endpoint.hostname}.{key[1]}"] = tuple(endpoint.addresses or ())
        if ready:
            found[key] = tuple(dict.fromkeys(ready))
    return found


def hosts_file(pod: Pod, address: str, hostname: str, known: Mapping[tuple[str, str], tuple[str, ...]], domain: str) -> str:
    """The Pod's hosts file: localhost, itself, its aliases, and all Services; those of its own namespace by their short names too."""
    lines = ["# Kept current by raysail.", "127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback"]
    namespace = pod.metadata.namespace
    if address:
        full = f"{hostname}.{pod.spec.subdomain}.{namespace}.svc.{domain}\t" if pod.spec.subdomain else ""
        lines.append(f"{address}\t{full}{hostname}")
    lines += [f"{alias.ip}\t{' '.join(alias.hostnames or ())}" for alias in pod.spec.host_aliases or ()]
    for (where, name), addresses in sorted(known.items()):
        names = [f"{name}.{where}.svc.{domain}", f"{name}.{where}.svc", f"{name}.{where}"]
        if where == namespace:
            names.append(name)
        lines += [f"{a}\t{' '.join(names)}" for a in addresses]
    return "\n".join(lines) + "\n"

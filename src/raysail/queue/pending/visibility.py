"""visibility.kueue.x-k8s.io: who waits in a queue and in which place, answered from the pending queues. Pure.

Paths and answers as of Kueue's visibility server (pkg/visibility): a ClusterQueue's or LocalQueue's subresource `pendingworkloads`, and discovery.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final

import msgspec

from raysail.api.errors import StatusError, bad_request, not_found
from raysail.api.kueue.visibility import GROUP, MOST_WORKLOADS, VERSIONS, PendingWorkloadsOptions, pending_workloads_options
from raysail.queue.model.workload import WorkloadInfo
from raysail.queue.pending.queues import Pending

Json = dict[str, Any]
Query = Mapping[str, Sequence[str]]
LeadsTo = Callable[[str, str], str | None]
"""The ClusterQueue that a LocalQueue (namespace, name) names; None where there is no such LocalQueue."""

_SUBRESOURCE: Final = "pendingworkloads"
_KIND: Final = "PendingWorkloadsSummary"


class Visibility:
    """The API of that group. `pending` is read at each request."""

    def __init__(self, pending: Pending, leads_to: LeadsTo) -> None:
        self._pending = pending
        self._leads_to = leads_to

    def get(self, path: str, query: Query) -> Json:
        """The answer to a GET below /apis/visibility.kueue.x-k8s.io. Raises StatusError."""
        parts = path.strip("/").split("/")[2:]
        match parts:
            case []:
                return _group()
            case [version] if version in VERSIONS:
                return _resources(version)
            case [version, "clusterqueues", name, subresource] if version in VERSIONS and subresource == _SUBRESOURCE:
                return self._answer(version, self.of_cluster_queue(name, _options(query)))
            case [version, "namespaces", namespace, "localqueues", name, subresource] if (
                version in VERSIONS and subresource == _SUBRESOURCE
            ):
                return self._answer(version, self.of_local_queue(namespace, name, _options(query)))
        raise StatusError("NotFound", "the server could not find the requested resource")

    def of_cluster_queue(self, name: str, options: PendingWorkloadsOptions) -> Iterator[Json]:
        """Those that wait in a ClusterQueue, in order. Raises StatusError (404)."""
        queue = self._pending.queues.get(name)
        if queue is None:
            raise not_found(GROUP, "clusterqueue", name)
        return islice(_placed(queue.in_order()), options.offset, options.offset + options.limit)

    def of_local_queue(self, namespace: str, name: str, options: PendingWorkloadsOptions) -> Iterator[Json]:
        """Those that wait in a LocalQueue, in the order of its ClusterQueue. Raises StatusError (404)."""
        target = self._leads_to(namespace, name)
        if target is None:
            raise not_found(GROUP, "localqueue", name)
        queue = self._pending.queues.get(target)
        found = (
            each
            for each in _placed(queue.in_order() if queue is not None else [])
            if each["localQueueName"] == name and each["metadata"]["namespace"] == namespace
        )
        return islice(found, options.offset, options.offset + options.limit)

    def _answer(self, version: str, items: Iterator[Json]) -> Json:
        return {"kind": _KIND, "apiVersion": f"{GROUP}/{version}", "metadata": {}, "items": list(items)}


def _options(query: Query) -> PendingWorkloadsOptions:
    try:
        options = pending_workloads_options(query)
    except ValueError as error:
        raise bad_request(str(error)) from error
    return PendingWorkloadsOptions(max(0, options.offset), min(max(0, options.limit), MOST_WORKLOADS))


def _placed(infos: Sequence[WorkloadInfo]) -> Iterator[Json]:
    """Each with its place in the ClusterQueue and in its LocalQueue."""
    places: dict[tuple[str, str], int] = {}
    for at, info in enumerate(infos):
        local = (info.namespace, info.local_queue)
        place = places.get(local, 0)
        places[local] = place + 1
        yield _shown(info, at, place)


def _shown(info: WorkloadInfo, at: int, place: int) -> Json:
    metadata = info.obj.metadata
    shown: Json = {"name": metadata.name, "namespace": metadata.namespace, "creationTimestamp": metadata.creation_timestamp}
    if metadata.owner_references:
        owners = [msgspec.to_builtins(owner) for owner in metadata.owner_references]
        shown["ownerReferences"] = [{key: owner[key] for key in ("apiVersion", "kind", "name", "uid")} for owner in owners]
    return {
        "metadata": shown,
        "priority": info.priority,
        "localQueueName": info.local_queue,
        "positionInClusterQueue": at,
        "positionInLocalQueue": place,
    }


def _group() -> Json:
    versions = [{"groupVersion": f"{GROUP}/{version}", "version": version} for version in VERSIONS]
    return {"kind": "APIGroup", "apiVersion": "v1", "name": GROUP, "versions": versions, "preferredVersion": versions[0]}


def _resources(version: str) -> Json:
    entries: list[Json] = []
    for singular, namespaced in (("clusterqueue", False), ("localqueue", True)):
        entries.append({"name": f"{singular}s", "singularName": singular, "namespaced": namespaced, "kind": _KIND, "verbs": []})
        entries.append(
            {"name": f"{singular}s/{_SUBRESOURCE}", "singularName": "", "namespaced": namespaced, "kind": _KIND, "verbs": ["get"]}
        )
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{GROUP}/{version}", "resources": entries}

"""What every cluster has from its first moment: namespaces, roles, priority classes, a storage class, the API's own Service, our CRDs."""

from __future__ import annotations

import asyncio
import copy
import ipaddress
from collections.abc import Iterator
from typing import Any, Final

from raysail.api.crds import all_crds, forget_crds
from raysail.apiserver.access.bootstrap import bootstrap_objects
from raysail.apiserver.access.users import LOCAL_ADMIN
from raysail.apiserver.customresources import accepted_status, is_established, outline
from raysail.apiserver.rest.call import Call, Shared, key_of
from raysail.apiserver.rest.metadata import fill_for_create
from raysail.apiserver.rest.storing import encoder
from raysail.apiserver.rest.target import Target
from raysail.apiserver.rest.writing import store_new

JsonObject = dict[str, Any]
NAMESPACES: Final = ("default", "kube-node-lease", "kube-public", "kube-system")
_CRDS: Final = ("apiextensions.k8s.io", "v1", "customresourcedefinitions")


async def install(shared: Shared, *, with_crds: bool) -> None:
    """Creates what is missing. Objects that are there stay as they are, but CRDs of ours follow the types."""
    waiting = [_ensure(shared, *place, obj) for place, obj in _objects()]
    if with_crds:
        waiting += [_ensure_crd(shared, crd) for crd in all_crds()]
    await asyncio.gather(*waiting)
    if with_crds:
        forget_crds()
        await _established(shared)


async def publish(shared: Shared, host: str, port: int, service_cidr: str) -> None:
    """The Service `kubernetes`: where programs in Pods find the API. Its port is the real one, so that nothing needs to stand in between."""
    first = str(next(ipaddress.ip_network(service_cidr).hosts()))
    port_entry = {"name": "https", "port": port, "protocol": "TCP", "targetPort": port}
    labels = {"component": "apiserver", "provider": "kubernetes"}
    metadata = {"name": "kubernetes", "namespace": "default", "labels": labels}
    spec = {"type": "ClusterIP", "clusterIP": first, "clusterIPs": [first], "ports": [port_entry]}
    await _put(shared, ("", "v1", "services"), {"metadata": metadata, "spec": spec})
    slice_labels = {"kubernetes.io/service-name": "kubernetes"}
    address = {"addresses": [host], "conditions": {"ready": True}}
    slice_ = {
        "metadata": {**metadata, "labels": slice_labels},
        "addressType": "IPv4",
        "endpoints": [address],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}],
    }
    await _put(shared, ("discovery.k8s.io", "v1", "endpointslices"), slice_)
    subsets = [{"addresses": [{"ip": host}], "ports": [{"name": "https", "port": port, "protocol": "TCP"}]}]
    await _put(shared, ("", "v1", "endpoints"), {"metadata": {**metadata, "labels": {}}, "subsets": subsets})


async def _put(shared: Shared, place: tuple[str, str, str], obj: JsonObject) -> None:
    """Creates the object, or brings what differs up to date: an instance may have moved to another address."""
    call = _call(shared, *place, obj["metadata"].get("namespace", ""))
    key = key_of(call.definition, call.target.namespace, obj["metadata"]["name"])
    present = shared.store.latest(call.definition.collection, key)
    if present is None:
        await _ensure(shared, *place, obj)
        return
    kept = present.object()
    wanted = {**kept, **{name: value for name, value in obj.items() if name not in ("metadata", "spec")}}
    if "spec" in obj:
        wanted["spec"] = {**kept["spec"], **obj["spec"]}
    if wanted != kept:
        await shared.store.put(call.definition.collection, key, encoder(call.definition, wanted))


def _objects() -> Iterator[tuple[tuple[str, str, str], JsonObject]]:
    for name in NAMESPACES:
        yield ("", "v1", "namespaces"), {"metadata": {"name": name}}
    for plural, obj in bootstrap_objects():
        yield ("rbac.authorization.k8s.io", "v1", plural), obj
    for name, value, text in (
        ("system-node-critical", 2000001000, "Used for system critical pods that must not be moved from their current node."),
        (
            "system-cluster-critical",
            2000000000,
            "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.",
        ),
    ):
        yield ("scheduling.k8s.io", "v1", "priorityclasses"), {"metadata": {"name": name}, "value": value, "description": text}
    yield (
        ("storage.k8s.io", "v1", "storageclasses"),
        {
            "metadata": {"name": "local-path", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
            "provisioner": "raysail.io/local-path",
            "reclaimPolicy": "Delete",
            "volumeBindingMode": "Immediate",
        },
    )


async def _ensure(shared: Shared, group: str, version: str, plural: str, obj: JsonObject) -> None:
    call = _call(shared, group, version, plural, obj["metadata"].get("namespace", ""))
    if shared.store.latest(call.definition.collection, key_of(call.definition, call.target.namespace, obj["metadata"]["name"])) is None:
        resource = call.definition.resource
        await store_new(call, {"kind": resource.kind, "apiVersion": resource.api_version, **copy.deepcopy(obj)})


async def _ensure_crd(shared: Shared, crd: JsonObject) -> None:
    call = _call(shared, *_CRDS, "")
    present = shared.store.latest(call.definition.collection, crd["metadata"]["name"])
    # What is filled in stands in the outer parts; the schemas are constants.
    wanted: JsonObject = {**crd, "spec": {**crd["spec"], "names": dict(crd["spec"]["names"])}}
    call.definition.strategy.default(wanted)
    if present is None:
        # Ours are valid (tests see to it): they come in as what validation and acceptance would make of them.
        resource, now = call.definition.resource, shared.now()
        wanted |= {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": dict(wanted["metadata"])}
        fill_for_create(wanted, call.definition, "", now)
        wanted["status"] = accepted_status(wanted, (), now)
        await shared.store.put(call.definition.collection, wanted["metadata"]["name"], encoder(call.definition, wanted))
        return
    obj = present.object()
    if obj["spec"] != wanted["spec"]:
        obj["spec"] = wanted["spec"]
        obj["metadata"]["generation"] = obj["metadata"].get("generation", 0) + 1
        await shared.store.put(call.definition.collection, present.key, encoder(call.definition, obj))


async def _established(shared: Shared) -> None:
    collection = _call(shared, *_CRDS, "").definition.collection
    while not all(is_established(outline(record.data)) for record in shared.store.collection(collection).scan()):
        await shared.store.next_change(collection)


def _call(shared: Shared, group: str, version: str, plural: str, namespace: str) -> Call:
    definition = shared.registry.find(group, version, plural)
    if definition is None:
        raise LookupError(f"{plural}.{group} is not served")
    target = Target("POST", "", group, version, plural, namespace)
    return Call(shared, target, "create", definition, {"fieldManager": "raysail", "fieldValidation": "Ignore"}, [], LOCAL_ADMIN)

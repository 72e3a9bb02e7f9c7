"""The views of built-in kinds name only fields that Kubernetes has, under Kubernetes' spelling."""

from __future__ import annotations

import typing
from typing import Any

import msgspec
import pytest

from raysail.api import apps, batch, coordination, core, discovery, rbac, scheduling
from raysail.api.meta import View
from raysail.api.openapi import SchemaNode, builtin_node, schema_name

KINDS: list[tuple[str, str, type[View]]] = [
    ("", "v1", core.Pod),
    ("", "v1", core.Node),
    ("", "v1", core.Service),
    ("", "v1", core.Endpoints),
    ("", "v1", core.Namespace),
    ("", "v1", core.ConfigMap),
    ("", "v1", core.Secret),
    ("", "v1", core.ServiceAccount),
    ("", "v1", core.PersistentVolumeClaim),
    ("", "v1", core.PersistentVolume),
    ("", "v1", core.LimitRange),
    ("", "v1", core.ResourceQuota),
    ("batch", "v1", batch.Job),
    ("batch", "v1", batch.CronJob),
    ("apps", "v1", apps.Deployment),
    ("apps", "v1", apps.ReplicaSet),
    ("apps", "v1", apps.StatefulSet),
    ("apps", "v1", apps.DaemonSet),
    ("discovery.k8s.io", "v1", discovery.EndpointSlice),
    ("coordination.k8s.io", "v1", coordination.Lease),
    ("scheduling.k8s.io", "v1", scheduling.PriorityClass),
    ("node.k8s.io", "v1", scheduling.RuntimeClass),
    ("rbac.authorization.k8s.io", "v1", rbac.Role),
    ("rbac.authorization.k8s.io", "v1", rbac.ClusterRole),
    ("rbac.authorization.k8s.io", "v1", rbac.RoleBinding),
    ("rbac.authorization.k8s.io", "v1", rbac.ClusterRoleBinding),
]
NOT_OF_THE_KIND = {"observedGeneration", "targetContainerName", "defaultMode"}
"""Fields that a shared view has because another kind has them."""


def views_in(annotation: Any) -> list[type[View]]:
    if isinstance(annotation, type) and issubclass(annotation, View):
        return [annotation]
    return [view for argument in typing.get_args(annotation) for view in views_in(argument)]


def unknown_fields(view: type[View], node: SchemaNode, path: str) -> list[str]:
    unknown: list[str] = []
    hints = typing.get_type_hints(view)
    for field in msgspec.structs.fields(view):
        below = node.child(field.encode_name)
        if below is None:
            if field.encode_name not in NOT_OF_THE_KIND:
                unknown.append(f"{path}.{field.encode_name}")
            continue
        for child in views_in(hints[field.name]):
            is_list = typing.get_origin(hints[field.name]) is list or any(
                typing.get_origin(a) is list for a in typing.get_args(hints[field.name])
            )
            target = below.items if is_list else below
            assert target is not None, f"{path}.{field.encode_name} is not a list"
            unknown += unknown_fields(child, target, f"{path}.{field.encode_name}")
    return unknown


@pytest.mark.parametrize("case", KINDS, ids=lambda c: c[2].__name__)
def test_every_field_exists_in_kubernetes_schema(case: tuple[str, str, type[View]]) -> None:
    group, version, view = case
    name = schema_name(group, version, view.__name__)
    assert name is not None
    assert unknown_fields(view, builtin_node(name), view.__name__) == []


@pytest.mark.parametrize("view", [core.Pod, core.Node, core.Service, batch.Job], ids=lambda v: v.__name__)
def test_an_empty_object_decodes_and_unknown_fields_are_ignored(view: type[View]) -> None:
    decoded = msgspec.json.decode(b'{"kind":"X","new":1,"metadata":{"name":"a","creationTimestamp":null},"status":{"other":{}}}', type=view)
    assert decoded.metadata.name == "a"  # type: ignore[attr-defined]


def test_ports_and_addresses_keep_kubernetes_spelling() -> None:
    pod = msgspec.json.decode(b'{"status":{"podIP":"127.9.0.1","podIPs":[{"ip":"127.9.0.1"}],"hostIP":"127.0.0.1"}}', type=core.Pod)
    assert (pod.status.pod_ip, pod.status.host_ip) == ("127.9.0.1", "127.0.0.1")
    service = msgspec.json.decode(b'{"spec":{"clusterIP":"None","ports":[{"port":80,"targetPort":"http"}]}}', type=core.Service)
    assert service.spec.headless
    assert service.spec.ports is not None
    assert service.spec.ports[0].target_port == "http"

"""The smaller kinds: Services, configuration, roles, events, networking, quotas, the cluster's own, storage, extensions."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.kinds import changed, made, put, texts, valid

SERVICE: dict[str, Any] = {"spec": {"selector": {"app": "a"}, "ports": [{"port": 80}]}}
INGRESS: dict[str, Any] = {"spec": {"defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}}}
POLICY: dict[str, Any] = {"spec": {"podSelector": {}}}
CLAIM: dict[str, Any] = {"spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}
VOLUME: dict[str, Any] = {"spec": {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/x"}}}
WEBHOOK: dict[str, Any] = {
    "name": "a.b.c",
    "clientConfig": {"service": {"name": "s", "namespace": "n"}},
    "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}],
    "sideEffects": "None",
    "admissionReviewVersions": ["v1"],
}
AUTOSCALER: dict[str, Any] = {"spec": {"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "d", "apiVersion": "apps/v1"}}}
BINDING: dict[str, Any] = {
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
    "subjects": [{"kind": "ServiceAccount", "name": "sa", "namespace": "here"}],
}


@pytest.mark.parametrize(
    ("kind", "obj", "expected"),
    [
        (
            "Service",
            SERVICE,
            {
                "spec": {
                    "selector": {"app": "a"},
                    "ports": [{"port": 80, "targetPort": 80, "protocol": "TCP"}],
                    "sessionAffinity": "None",
                    "type": "ClusterIP",
                    "internalTrafficPolicy": "Cluster",
                },
                "status": {"loadBalancer": {}},
            },
        ),
        ("ConfigMap", {"data": {"a": "b"}}, {"data": {"a": "b"}}),
        ("Secret", {"stringData": {"a": "b"}}, {"data": {"a": "Yg=="}, "type": "Opaque"}),
        ("Secret", {"data": {"a": "eA=="}, "stringData": {"a": "b"}}, {"data": {"a": "Yg=="}, "type": "Opaque"}),
        (
            "PersistentVolumeClaim",
            CLAIM,
            {"spec": {**CLAIM["spec"], "volumeMode": "Filesystem"}, "status": {"phase": "Pending"}},
        ),
        (
            "PersistentVolume",
            VOLUME,
            {
                "spec": {
                    **VOLUME["spec"],
                    "hostPath": {"path": "/x", "type": ""},
                    "persistentVolumeReclaimPolicy": "Retain",
                    "volumeMode": "Filesystem",
                },
                "status": {"phase": "Pending", "lastPhaseTransitionTime": "2026-01-02T03:04:05Z"},
            },
        ),
        ("Namespace", {}, {"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}}),
        ("PriorityClass", {"value": 5}, {"value": 5, "preemptionPolicy": "PreemptLowerPriority"}),
        (
            "StorageClass",
            {"provisioner": "p"},
            {"provisioner": "p", "reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"},
        ),
        ("NetworkPolicy", POLICY, {"spec": {"podSelector": {}, "policyTypes": ["Ingress"]}}),
        (
            "NetworkPolicy",
            {"spec": {"podSelector": {}, "egress": [{}]}},
            {"spec": {"podSelector": {}, "egress": [{}], "policyTypes": ["Ingress", "Egress"]}},
        ),
        ("Role", {}, {"rules": None}),
        (
            "RoleBinding",
            {"roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "User", "name": "u"}]},
            {
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
                "subjects": [{"kind": "User", "name": "u", "apiGroup": "rbac.authorization.k8s.io"}],
            },
        ),
        (
            "LimitRange",
            {"spec": {"limits": [{"type": "Container", "default": {"cpu": "1"}}]}},
            {"spec": {"limits": [{"type": "Container", "default": {"cpu": "1"}, "defaultRequest": {"cpu": "1"}}]}},
        ),
        (
            "HorizontalPodAutoscaler",
            AUTOSCALER,
            {"spec": {**AUTOSCALER["spec"], "minReplicas": 1}, "status": {"currentReplicas": 0, "desiredReplicas": 0}},
        ),
        (
            "ValidatingWebhookConfiguration",
            {"webhooks": [WEBHOOK]},
            {
                "webhooks": [
                    {
                        **WEBHOOK,
                        "clientConfig": {"service": {"name": "s", "namespace": "n", "port": 443}},
                        "rules": [{**WEBHOOK["rules"][0], "scope": "*"}],
                        "failurePolicy": "Fail",
                        "matchPolicy": "Equivalent",
                        "namespaceSelector": {},
                        "objectSelector": {},
                        "timeoutSeconds": 10,
                    }
                ]
            },
        ),
    ],
)
def test_defaults(kind: str, obj: dict[str, Any], expected: dict[str, Any]) -> None:
    assert {key: value for key, value in valid(kind, obj).items() if key not in ("apiVersion", "kind", "metadata")} == expected


def test_namespaces_carry_their_name() -> None:
    assert valid("Namespace", {})["metadata"]["labels"] == {"kubernetes.io/metadata.name": "it"}


REFUSED: list[tuple[str, dict[str, Any], str, Any, list[str]]] = [
    ("Service", SERVICE, "spec.ports", [], ["spec.ports: Required value"]),
    (
        "Service",
        SERVICE,
        "spec.ports.0.port",
        0,
        [
            "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
            "spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive",
        ],
    ),
    ("Service", SERVICE, "spec.ports.1", {"port": 81}, ["spec.ports[0].name: Required value", "spec.ports[1].name: Required value"]),
    (
        "Service",
        SERVICE,
        "spec.type",
        "Public",
        ['spec.type: Unsupported value: "Public": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"'],
    ),
    (
        "Service",
        SERVICE,
        "spec.sessionAffinity",
        "Yes",
        ['spec.sessionAffinity: Unsupported value: "Yes": supported values: "ClientIP", "None"'],
    ),
    (
        "Service",
        SERVICE,
        "spec.ports.0.nodePort",
        30000,
        ["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"],
    ),
    (
        "ConfigMap",
        {"data": {"a": "b"}},
        "binaryData",
        {"a": "YQ=="},
        ['data[a]: Invalid value: "a": duplicate of key present in binaryData'],
    ),
    (
        "Secret",
        {"data": {"a": "YQ=="}},
        "type",
        "kubernetes.io/tls",
        ["data[tls.crt]: Required value", "data[tls.key]: Required value"],
    ),
    (
        "Role",
        {},
        "rules",
        [{"verbs": [], "apiGroups": [""], "resources": ["pods"]}],
        ["rules[0].verbs: Required value: verbs must contain at least one value"],
    ),
    (
        "Role",
        {},
        "rules",
        [{"verbs": ["get"], "nonResourceURLs": ["/x"]}],
        ['rules[0].nonResourceURLs: Invalid value: ["/x"]: namespaced rules cannot apply to non-resource URLs'],
    ),
    (
        "Role",
        {},
        "rules",
        [{"verbs": ["get"], "resources": ["pods"]}],
        ["rules[0].apiGroups: Required value: resource rules must supply at least one api group"],
    ),
    ("RoleBinding", BINDING, "roleRef.kind", "User", ['roleRef.kind: Unsupported value: "User": supported values: "Role", "ClusterRole"']),
    (
        "ClusterRoleBinding",
        put(BINDING, "roleRef.kind", "ClusterRole"),
        "subjects.0.namespace",
        ...,
        ["subjects[0].namespace: Required value"],
    ),
    ("PersistentVolumeClaim", CLAIM, "spec.accessModes", [], ["spec.accessModes: Required value: at least 1 access mode is required"]),
    ("PersistentVolumeClaim", CLAIM, "spec.resources", {}, ["spec.resources[storage]: Required value"]),
    (
        "PersistentVolume",
        VOLUME,
        "spec.nfs",
        {"server": "s", "path": "/p"},
        ["spec.nfs: Forbidden: may not specify more than 1 volume type"],
    ),
    ("PersistentVolume", VOLUME, "spec.hostPath", ..., ["spec: Required value: must specify a volume type"]),
    (
        "PriorityClass",
        {"value": 5},
        "value",
        2_000_000_000,
        ["value: Forbidden: maximum allowed value of a user defined priority is 1000000000"],
    ),
    ("StorageClass", {}, "provisioner", "", ["provisioner: Required value"]),
    ("Lease", {"spec": {}}, "spec.leaseDurationSeconds", 0, ["spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"]),
    ("RuntimeClass", {"handler": "h"}, "handler", "", ["handler: Required value"]),
    (
        "HorizontalPodAutoscaler",
        AUTOSCALER,
        "spec.minReplicas",
        5,
        ["spec.maxReplicas: Invalid value: 3: must be greater than or equal to `minReplicas`"],
    ),
    (
        "PodDisruptionBudget",
        {"spec": {"minAvailable": 1}},
        "spec.maxUnavailable",
        1,
        ['spec: Invalid value: {"maxUnavailable":1,"minAvailable":1}: minAvailable and maxUnavailable cannot be both set'],
    ),
    (
        "ResourceQuota",
        {"spec": {"hard": {"pods": "1"}}},
        "spec.scopes",
        ["Terminating", "NotTerminating"],
        ['spec.scopes: Invalid value: ["Terminating","NotTerminating"]: conflicting scopes'],
    ),
    (
        "Node",
        {},
        "spec.taints",
        [{"key": "a", "effect": "NoSchedule"}, {"key": "a", "effect": "NoSchedule"}],
        ['metadata.taints[1]: Duplicate value: {"effect":"NoSchedule","key":"a"}: taints must be unique by key and effect pair'],
    ),
    (
        "ValidatingWebhookConfiguration",
        {"webhooks": [WEBHOOK]},
        "webhooks.0.sideEffects",
        "Some",
        ['webhooks[0].sideEffects: Unsupported value: "Some": supported values: "None", "NoneOnDryRun"'],
    ),
    (
        "ValidatingWebhookConfiguration",
        {"webhooks": [WEBHOOK]},
        "webhooks.0.name",
        "short",
        ['webhooks[0].name: Invalid value: "short": should be a domain with at least three segments separated by dots'],
    ),
    (
        "ValidatingWebhookConfiguration",
        {"webhooks": [WEBHOOK]},
        "webhooks.0.clientConfig",
        {"url": "http://h"},
        [
            "webhooks[0].clientConfig.url: Invalid value: \"http\": 'https' is the only allowed URL scheme; desired format: https://host[/path]"
        ],
    ),
    ("ServiceCIDR", {"spec": {"cidrs": ["10.0.0.0/8"]}}, "spec.cidrs", [], ["spec.cidrs: Required value: at least one CIDR required"]),
    (
        "NetworkPolicy",
        POLICY,
        "spec.policyTypes",
        ["Up"],
        ['spec.policyTypes[0]: Unsupported value: "Up": supported values: "Ingress", "Egress"'],
    ),
    ("Ingress", {"spec": {}}, "spec.rules", [], ["spec: Invalid value: null: either `defaultBackend` or `rules` must be specified"]),
]


@pytest.mark.parametrize(("kind", "obj", "path", "value", "expected"), REFUSED, ids=[f"{case[0]}-{case[2]}" for case in REFUSED])
def test_refused(kind: str, obj: dict[str, Any], path: str, value: Any, expected: list[str]) -> None:
    assert texts(made(kind, put(obj, path, value))[1]) == expected


@pytest.mark.parametrize(
    ("kind", "obj", "path", "value", "expected"),
    [
        (
            "ConfigMap",
            {"data": {"a": "b"}, "immutable": True},
            "data.a",
            "c",
            "data: Forbidden: field is immutable when `immutable` is set",
        ),
        ("ConfigMap", {"immutable": True}, "immutable", ..., "immutable: Forbidden: field is immutable when `immutable` is set"),
        ("Secret", {"data": {"a": "eA=="}}, "type", "other", 'type: Invalid value: "other": field is immutable'),
        ("PriorityClass", {"value": 5}, "value", 6, "value: Forbidden: may not be changed in an update."),
        ("StorageClass", {"provisioner": "p"}, "provisioner", "q", 'provisioner: Invalid value: "q": field is immutable'),
        ("RuntimeClass", {"handler": "h"}, "handler", "i", 'handler: Invalid value: "i": field is immutable'),
        ("RoleBinding", BINDING, "roleRef.name", "other", "cannot change roleRef"),
        ("PersistentVolumeClaim", CLAIM, "spec.accessModes", ["ReadWriteMany"], "spec: Forbidden: spec is immutable after creation"),
        ("PersistentVolume", VOLUME, "spec.hostPath.path", "/y", "spec.persistentvolumesource: Forbidden"),
        (
            "ServiceCIDR",
            {"spec": {"cidrs": ["10.0.0.0/8"]}},
            "spec.cidrs.0",
            "11.0.0.0/8",
            'spec.cidrs[0]: Invalid value: "11.0.0.0/8": field is immutable',
        ),
        ("Node", {"spec": {"providerID": "a"}}, "spec.providerID", "b", "spec.providerID: Forbidden"),
    ],
)
def test_immutable(kind: str, obj: dict[str, Any], path: str, value: Any, expected: str) -> None:
    before = valid(kind, obj)
    found = texts(changed(kind, before, put(before, path, value))[1])
    assert any(expected in text for text in found), found


def test_cluster_addresses_of_a_service_stay() -> None:
    before = put(valid("Service", SERVICE), "spec.clusterIP", "10.0.0.1")
    before["spec"]["clusterIPs"] = ["10.0.0.1"]
    wanted = put(put(before, "spec.clusterIP", "10.0.0.2"), "spec.clusterIPs", ["10.0.0.2"])
    found = texts(changed("Service", before, wanted)[1])
    assert any("field is immutable" in text or "may not change once set" in text for text in found), found
    after, faults = changed("Service", before, put(put(before, "spec.clusterIP", ...), "spec.clusterIPs", ...))
    assert (after["spec"]["clusterIP"], texts(faults)) == ("10.0.0.1", [])


def test_finalizers_of_a_namespace_are_not_for_everyone() -> None:
    before = valid("Namespace", {})
    after, faults = changed("Namespace", before, put(before, "spec.finalizers", []))
    assert (after["spec"], faults) == ({"finalizers": ["kubernetes"]}, [])


def test_a_namespace_that_lives_is_active() -> None:
    before = valid("Namespace", {})
    _, faults = changed("Namespace", before, put(before, "status.phase", "Terminating"), "status")
    assert texts(faults) == ["status.Phase: Invalid value: \"Terminating\": may only be 'Active' if `deletionTimestamp` is empty"]


def test_nodes_bring_their_status() -> None:
    node = valid("Node", {"status": {"capacity": {"cpu": "4"}}})
    assert node["status"]["capacity"] == {"cpu": "4"}
    after, _ = changed("Node", node, put(node, "status.capacity", {"cpu": "8"}))
    assert after["status"]["capacity"] == {"cpu": "4"}
    after, _ = changed("Node", node, put(node, "status.capacity", {"cpu": "8"}), "status")
    assert after["status"]["capacity"] == {"cpu": "8"}


def test_a_volume_notes_when_its_phase_changed() -> None:
    before = put(valid("PersistentVolume", VOLUME), "status.lastPhaseTransitionTime", "2025-01-01T00:00:00Z")
    after, _ = changed("PersistentVolume", before, put(before, "status.phase", "Available"), "status")
    assert after["status"] == {"phase": "Available", "lastPhaseTransitionTime": "2026-01-02T03:04:05Z"}
    after, _ = changed("PersistentVolume", before, put(before, "status.message", "m"), "status")
    assert after["status"]["lastPhaseTransitionTime"] == "2025-01-01T00:00:00Z"


def test_endpoints_may_lie_on_this_machine() -> None:
    slice_ = {"addressType": "IPv4", "endpoints": [{"addresses": ["127.0.0.5"]}], "ports": [{"port": 80}]}
    assert valid("EndpointSlice", slice_)["ports"] == [{"name": "", "port": 80, "protocol": "TCP"}]

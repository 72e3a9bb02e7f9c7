"""What the autoscaler may do: ServiceAccount, Role and RoleBinding (KubeRay common/rbac.go); and the Secret with the cluster's token."""

from __future__ import annotations

import base64
from typing import Any, Final

from raysail.api.ray import RayCluster, names
from raysail.ray import naming
from raysail.ray.pods.authentication import TOKEN_KEY
from raysail.ray.pods.build import controller_reference

_RULES: Final = (
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch", "patch"]},
    {"apiGroups": [""], "resources": ["pods/resize"], "verbs": ["patch"]},
    {"apiGroups": ["ray.io"], "resources": ["rayclusters"], "verbs": ["get", "patch"]},
)
TOKEN_BYTES: Final = 32


def given_service_account(cluster: RayCluster) -> str:
    """The account that the head's template names; empty where it names none."""
    return str((cluster.spec.head_group_spec.template.get("spec") or {}).get("serviceAccountName") or "")


def service_account_name(cluster: RayCluster) -> str:
    """The account that the head runs as."""
    return given_service_account(cluster) or cluster.metadata.name


def service_account(cluster: RayCluster) -> dict[str, Any]:
    """The account that is made where the template names none."""
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": _metadata(cluster, naming.clip_name(service_account_name(cluster)))}


def role(cluster: RayCluster) -> dict[str, Any]:
    """See and mark Pods, change the cluster's replicas."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": _metadata(cluster, naming.clip_name(cluster.metadata.name)),
        "rules": [{key: list(values) for key, values in rule.items()} for rule in _RULES],
    }


def role_binding(cluster: RayCluster) -> dict[str, Any]:
    """Gives the role to the head's account."""
    account = naming.clip_name(service_account_name(cluster))
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": _metadata(cluster, naming.clip_name(cluster.metadata.name)),
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": cluster.metadata.namespace}],
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": naming.clip_name(cluster.metadata.name)},
    }


def token_secret(cluster: RayCluster, random: bytes) -> dict[str, Any]:
    """The Secret with the token of a cluster that brings none. `random`: TOKEN_BYTES unpredictable bytes."""
    token = base64.b64encode(random)
    metadata = {
        "name": naming.clip_name(cluster.metadata.name),
        "namespace": cluster.metadata.namespace,
        "labels": {names.CLUSTER_LABEL: cluster.metadata.name},
        "ownerReferences": [controller_reference("RayCluster", cluster.metadata.name, cluster.metadata.uid)],
    }
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {TOKEN_KEY: base64.b64encode(token).decode()}}


def _metadata(cluster: RayCluster, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": cluster.metadata.namespace,
        "labels": {
            names.CLUSTER_LABEL: cluster.metadata.name,
            names.APPLICATION_NAME_LABEL: names.APPLICATION_NAME,
            names.CREATED_BY_LABEL: names.OPERATOR_NAME,
        },
        "ownerReferences": [controller_reference("RayCluster", cluster.metadata.name, cluster.metadata.uid)],
    }

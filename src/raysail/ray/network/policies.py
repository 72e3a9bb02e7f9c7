"""spec.networkPolicy → NetworkPolicies: one for the head, one for each worker group. Pure.

What is let in by default is the cluster itself and the submitter of the RayJob that owns it. Everything else (names, the API, this operator) needs a
rule of the user's.
"""

from __future__ import annotations

import copy
from typing import Any

from raysail.api.ray import NetworkPolicyConfig, NetworkPolicyRules, RayCluster, names
from raysail.api.ray import job as job_states
from raysail.ray.pods.build import controller_reference

Policy = dict[str, Any]


def policies(cluster: RayCluster) -> list[Policy]:
    """All that the cluster asks for; none where it asks for none."""
    config = cluster.spec.network_policy
    if config is None:
        return []
    name = cluster.metadata.name
    head = _policy(
        cluster, config, f"{name}-head", names.HEAD_GROUP, {names.NODE_TYPE_LABEL: names.HEAD}, config.head, _submitter_rules(cluster)
    )
    workers = [
        _policy(
            cluster,
            config,
            f"{name}-workers-{group.group_name}",
            group.group_name,
            {names.NODE_TYPE_LABEL: names.WORKER, names.GROUP_LABEL: group.group_name},
            _rules_of_group(config, group.group_name),
            [],
        )
        for group in cluster.spec.worker_group_specs or ()
    ]
    return [head, *workers]


def _policy(
    cluster: RayCluster,
    config: NetworkPolicyConfig,
    name: str,
    group: str,
    selected: dict[str, str],
    rules: NetworkPolicyRules | None,
    more_ingress: list[dict[str, Any]],
) -> Policy:
    mode, peer = config.mode or "DenyAll", {"podSelector": {"matchLabels": {names.CLUSTER_LABEL: cluster.metadata.name}}}
    spec: dict[str, Any] = {"podSelector": {"matchLabels": {names.CLUSTER_LABEL: cluster.metadata.name, **selected}}, "policyTypes": []}
    if mode in ("DenyAll", "DenyAllIngress"):
        spec["policyTypes"].append("Ingress")
        spec["ingress"] = [{"from": [peer]}, *more_ingress, *_with_protocols((rules.ingress_rules if rules else None) or [])]
    if mode in ("DenyAll", "DenyAllEgress"):
        spec["policyTypes"].append("Egress")
        spec["egress"] = [{"to": [copy.deepcopy(peer)]}, *_with_protocols((rules.egress_rules if rules else None) or [])]
    metadata = {
        "name": name,
        "namespace": cluster.metadata.namespace,
        "labels": {
            names.CLUSTER_LABEL: cluster.metadata.name,
            names.GROUP_LABEL: group,
            names.APPLICATION_NAME_LABEL: names.APPLICATION_NAME,
            names.CREATED_BY_LABEL: names.OPERATOR_NAME,
        },
        "ownerReferences": [controller_reference("RayCluster", cluster.metadata.name, cluster.metadata.uid)],
    }
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def _rules_of_group(config: NetworkPolicyConfig, group: str) -> NetworkPolicyRules | None:
    """A group's own rules take the place of those for all workers."""
    return next((entry for entry in config.worker_groups or () if entry.group_name == group), config.worker)


def _submitter_rules(cluster: RayCluster) -> list[dict[str, Any]]:
    """Lets the submitter of the owning RayJob reach the dashboard. In the other modes there is no such Pod."""
    owner = cluster.metadata.controller_owner()
    mode = (cluster.metadata.labels or {}).get(names.JOB_SUBMISSION_MODE_LABEL)
    if mode != job_states.K8S_JOB_MODE or owner is None or owner.kind != "RayJob" or not owner.api_version.startswith("ray.io/"):
        return []
    text = (cluster.spec.head_group_spec.ray_start_params or {}).get("dashboard-port", "")
    port = int(text) if text.isdigit() else names.DASHBOARD_PORT
    labels = {names.ORIGINATED_FROM_CR_NAME_LABEL: owner.name, names.ORIGINATED_FROM_CRD_LABEL: "RayJob"}
    return [{"from": [{"podSelector": {"matchLabels": labels}}], "ports": [{"protocol": "TCP", "port": port}]}]


def _with_protocols(rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """As the API stores them, so that what is wanted compares with what is there."""
    filled = copy.deepcopy(rules)
    for rule in filled:
        for port in rule.get("ports") or ():
            port.setdefault("protocol", "TCP")
    return filled

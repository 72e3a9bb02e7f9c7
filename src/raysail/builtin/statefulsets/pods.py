"""The Pods and claims of a StatefulSet by ordinal, in wire form (pkg/controller/statefulset/stateful_set_utils.go)."""

from __future__ import annotations

import copy
from typing import Any, Final

from raysail.api.apps import StatefulSet
from raysail.api.core import Pod
from raysail.api.resources import PERSISTENT_VOLUME_CLAIMS, PODS
from raysail.builtin.naming import template_hash
from raysail.builtin.ownedpods import controller_reference

POD_NAME_LABEL: Final = "statefulset.kubernetes.io/pod-name"
POD_INDEX_LABEL: Final = "apps.kubernetes.io/pod-index"
REVISION_LABEL: Final = "controller-revision-hash"

JsonObject = dict[str, Any]


def update_revision(stateful_set: StatefulSet) -> str:
    """The name of the present template's version."""
    return f"{stateful_set.metadata.name}-{template_hash(stateful_set.spec.template, stateful_set.status.collision_count or 0)}"


def ordinal_of(stateful_set: StatefulSet, pod: Pod) -> int | None:
    """The Pod's place, None for a Pod whose name is not one of the set's."""
    prefix, _, text = pod.metadata.name.rpartition("-")
    return int(text) if prefix == stateful_set.metadata.name and text.isdigit() else None


def revision_of(pod: Pod) -> str:
    """Which version of the template it was made from."""
    return (pod.metadata.labels or {}).get(REVISION_LABEL, "")


def build_pod(stateful_set: StatefulSet, ordinal: int, revision: str) -> JsonObject:
    """The Pod at that place."""
    template = copy.deepcopy(stateful_set.spec.template or {})
    meta, spec = template.get("metadata") or {}, template.get("spec") or {}
    name = f"{stateful_set.metadata.name}-{ordinal}"
    spec["hostname"] = name
    if stateful_set.spec.service_name:
        spec["subdomain"] = stateful_set.spec.service_name
    claims = [{"name": claim, "persistentVolumeClaim": {"claimName": f"{claim}-{name}"}} for claim in _claim_names(stateful_set)]
    if claims:
        kept = [volume for volume in spec.get("volumes") or () if volume.get("name") not in _claim_names(stateful_set)]
        spec["volumes"] = [*claims, *kept]
    metadata: JsonObject = {
        "name": name,
        "generateName": f"{stateful_set.metadata.name}-",
        "namespace": stateful_set.metadata.namespace,
        "labels": {**(meta.get("labels") or {}), POD_NAME_LABEL: name, POD_INDEX_LABEL: str(ordinal), REVISION_LABEL: revision},
        "ownerReferences": [controller_reference(stateful_set)],
        **{key: meta[key] for key in ("annotations", "finalizers") if meta.get(key)},
    }
    return {"apiVersion": PODS.api_version, "kind": PODS.kind, "metadata": metadata, "spec": spec}


def build_claims(stateful_set: StatefulSet, ordinal: int) -> list[JsonObject]:
    """The claims that the Pod at that place mounts."""
    bodies = []
    for template in stateful_set.spec.volume_claim_templates or ():
        meta = template.get("metadata") or {}
        labels = {**(meta.get("labels") or {}), **((stateful_set.spec.selector or {}).get("matchLabels") or {})}
        metadata = {
            "name": f"{meta.get('name', '')}-{stateful_set.metadata.name}-{ordinal}",
            "namespace": stateful_set.metadata.namespace,
            "labels": labels,
            **({"annotations": meta["annotations"]} if meta.get("annotations") else {}),
        }
        bodies.append(
            {
                "apiVersion": PERSISTENT_VOLUME_CLAIMS.api_version,
                "kind": PERSISTENT_VOLUME_CLAIMS.kind,
                "metadata": metadata,
                "spec": copy.deepcopy(template.get("spec") or {}),
            }
        )
    return bodies


def _claim_names(stateful_set: StatefulSet) -> list[str]:
    return [(template.get("metadata") or {}).get("name", "") for template in stateful_set.spec.volume_claim_templates or ()]

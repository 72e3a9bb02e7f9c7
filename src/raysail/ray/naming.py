"""Names that KubeRay derives from other names (controllers/ray/utils/util.go).

Clients, samples and Ray's autoscaler rely on them. Limits leave room for the five random characters that follow.
"""

from __future__ import annotations

import base64
import hashlib
import string
from typing import Any, Final

from raysail.api.ray import names

_POD_PREFIX_LENGTH: Final = 50
_LABEL_LENGTH: Final = 63
_SUFFIX_LENGTH: Final = 5


def clip_name(name: str) -> str:
    """The last 50 characters, a leading digit or punctuation replaced by `r` (CheckName)."""
    clipped = name[-_POD_PREFIX_LENGTH:]
    return f"r{clipped[1:]}" if clipped[:1] in string.digits + string.punctuation else clipped


def clip_label(value: str) -> str:
    """The last 63 characters, a leading punctuation replaced by `r` (CheckLabel)."""
    clipped = value[-_LABEL_LENGTH:]
    return f"r{clipped[1:]}" if clipped[:1] in string.punctuation else clipped


def pod_prefix(owner: str, node_type: str) -> str:
    """`OWNER-head-` or `CLUSTER-GROUP-worker-`: the FIRST 50 characters of the owner, in lower case (PodName)."""
    return f"{owner[:_POD_PREFIX_LENGTH]}-{node_type}-".lower()


def fixed_head_pod(cluster: str) -> str:
    """The head Pod's name where it is not to have a random part."""
    return pod_prefix(cluster, names.HEAD).removesuffix("-")


def suffix(*parts: object) -> str:
    """Five characters that are always the same for the same parts: a name chosen beforehand, so that doing a thing twice collides."""
    digest = hashlib.sha256("\0".join(str(part) for part in parts).encode()).digest()
    return base64.b32encode(digest).decode().lower()[:_SUFFIX_LENGTH]


def identifier(owner: str, node_type: str) -> str:
    """The value of the label ray.io/identifier."""
    return clip_label(f"{owner}-{node_type}")


def head_service(cluster: str, head_service_template: dict[str, Any] | None = None) -> str:
    """The head Service of a RayCluster: headService.metadata.name where given."""
    given = ((head_service_template or {}).get("metadata") or {}).get("name")
    return given or f"{cluster}-{names.HEAD}-svc"


def owner_head_service(owner: str) -> str:
    """The head Service that a RayJob or RayService keeps beside its cluster's own."""
    return f"{owner}-{names.HEAD}-svc"


def serve_service(owner: str) -> str:
    """The Service in front of Ray Serve's proxies."""
    return f"{owner}-serve-svc"


def headless_service(cluster: str) -> str:
    """The Service through which the hosts of a multi-host replica find each other."""
    return f"{cluster}-headless"


def head_ingress(cluster: str) -> str:
    """The Ingress in front of the dashboard."""
    return clip_name(f"{cluster}-{names.HEAD}-ingress")


def storage_claim(cluster: str, claim_name: str = "") -> str:
    """The PersistentVolumeClaim behind the embedded GCS store."""
    return claim_name or f"{cluster}-gcs-pvc"


def redis_cleanup_job(cluster: str) -> str:
    """The Job that empties a deleted cluster's namespace in Redis."""
    return clip_label(f"{cluster}-redis-cleanup")


def qualified(service: str, namespace: str, cluster_domain: str) -> str:
    """A Service's fully qualified name."""
    return f"{service}.{namespace}.svc.{cluster_domain}"

"""Everything a RayCluster needs besides Pods: access for the autoscaler, Ingress, token, Services, storage. Made once, in KubeRay's order.

Each step looks into an informer's copy and creates what is missing. The first step that fails ends the pass: what comes later may depend on it.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any, Final

from raysail.api.core.service import Service
from raysail.api.errors import StatusError, is_already_exists, is_conflict, is_not_found
from raysail.api.meta import Object
from raysail.api.ray import RayCluster, RayJob, names
from raysail.api.ray import job as states
from raysail.api.resources import (
    INGRESSES,
    PERSISTENT_VOLUME_CLAIMS,
    RAY_CLUSTERS,
    RAY_JOBS,
    ROLE_BINDINGS,
    ROLES,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    Resource,
)
from raysail.kube.informer import Informer
from raysail.kube.manager import Manager
from raysail.ray import naming
from raysail.ray.cluster import access, storage
from raysail.ray.pods import authentication, autoscaler
from raysail.ray.services.head import head_service
from raysail.ray.services.ingress import dashboard_ingress
from raysail.ray.services.serve import has_multi_host_group, headless_service, is_wanted, serve_service
from raysail.ray.settings import RaySettings

_MADE_BY_US: Final = f"{names.CREATED_BY_LABEL}={names.OPERATOR_NAME}"
HEAD_SERVICES: Final = "head services of a cluster"


class ObstacleError(Exception):
    """The cluster cannot go on until somebody changes something."""


def head_service_keys(service: Service) -> list[tuple[str, str]]:
    """Index: (namespace, cluster) of head Services."""
    labels = service.metadata.labels or {}
    cluster = labels.get(names.CLUSTER_LABEL, "")
    is_head = labels.get(names.NODE_TYPE_LABEL) == names.HEAD and labels.get(names.IDENTIFIER_LABEL) == naming.identifier(
        cluster, names.HEAD
    )
    return [(service.metadata.namespace, cluster)] if cluster and is_head else []


class Surroundings:
    """Makes them, for one cluster at a time."""

    def __init__(self, manager: Manager, settings: RaySettings) -> None:
        self._client, self._events, self._settings = manager.client, manager.events, settings
        self.services = manager.informer(SERVICES, Service, {HEAD_SERVICES: head_service_keys})
        self._jobs = manager.informer(RAY_JOBS, RayJob)
        self._clusters = manager.informer(RAY_CLUSTERS, RayCluster)
        self.secrets = manager.informer(SECRETS, Object, label_selector=names.CLUSTER_LABEL, metadata_only=True)
        self._access: dict[Resource, Informer[Object]] = {
            resource: manager.informer(resource, Object, label_selector=_MADE_BY_US, metadata_only=True)
            for resource in (SERVICE_ACCOUNTS, ROLES, ROLE_BINDINGS)
        }

    def head_services(self, cluster: RayCluster) -> list[Service]:
        """The cluster's head Services: one, unless somebody else made one that looks like it."""
        return self.services.by_index(HEAD_SERVICES, cluster.metadata.key)

    async def ensure(self, cluster: RayCluster) -> None:
        """Makes what is missing. Raises ObstacleError or what the API says."""
        if autoscaler.is_enabled(cluster.spec):
            await self._ensure_access(cluster)
        if cluster.spec.head_group_spec.enable_ingress:
            await self._ensure_ingress(cluster)
        await self._ensure_secret(cluster)
        await self._ensure_services(cluster)
        await self._ensure_storage(cluster)

    async def _ensure_access(self, cluster: RayCluster) -> None:
        await self._ensure_service_account(cluster)
        for resource, body in ((ROLES, access.role(cluster)), (ROLE_BINDINGS, access.role_binding(cluster))):
            if self._access[resource].get(cluster.metadata.namespace, body["metadata"]["name"]) is None:
                await self._create(cluster, resource, body, exists_is_fine=True, informer=self._access[resource])

    async def _ensure_service_account(self, cluster: RayCluster) -> None:
        namespace, given = cluster.metadata.namespace, access.given_service_account(cluster)
        body = access.service_account(cluster)
        if self._access[SERVICE_ACCOUNTS].get(namespace, given or body["metadata"]["name"]) is not None:
            return
        if not given:
            await self._create(cluster, SERVICE_ACCOUNTS, body, exists_is_fine=True, informer=self._access[SERVICE_ACCOUNTS])
            return
        try:
            await self._client.get(SERVICE_ACCOUNTS, given, namespace)
        except StatusError as error:
            if not is_not_found(error):
                raise
            text = (
                "If users specify ServiceAccountName for the head Pod, they need to create a ServiceAccount themselves. "
                f"However, ServiceAccount {given} is not found. Please create one. "
                "See the PR description of https://github.com/ray-project/kuberay/pull/1128 for more details."
            )
            message = f"Failed to reconcile RayCluster {_key(cluster)}. {text}"
            self._events.event(cluster, "Warning", "AutoscalerServiceAccountNotFound", message, "Validate")
            raise ObstacleError(text) from error

    async def _ensure_ingress(self, cluster: RayCluster) -> None:
        wanted = dashboard_ingress(cluster)
        name, namespace = wanted["metadata"]["name"], cluster.metadata.namespace
        try:
            found = await self._client.get(INGRESSES, name, namespace)
        except StatusError as error:
            if not is_not_found(error):
                raise
            await self._create(cluster, INGRESSES, wanted, exists_is_fine=True)
            return
        if not any(owner.get("uid") == cluster.metadata.uid for owner in found["metadata"].get("ownerReferences") or ()):
            text = f"Ingress {namespace}/{name} already exists and is not owned by this RayCluster; not modifying it"
            self._events.event(cluster, "Warning", "FailedToCreateIngress", text, "Create")
            return
        patch = _ingress_patch(found, wanted)
        if not patch:
            return
        try:
            await self._client.patch(INGRESSES, name, patch, namespace)
        except StatusError as error:
            self._events.event(
                cluster, "Warning", "FailedToUpdateIngress", f"Failed updating ingress {namespace}/{name}, {error}", "Update"
            )
            raise
        self._events.event(cluster, "Normal", "UpdatedIngress", f"Updated ingress {namespace}/{name}", "Update")

    async def _ensure_secret(self, cluster: RayCluster) -> None:
        options = cluster.spec.auth_options
        if options is None or options.mode == "disabled" or options.secret_name or authentication.uses_kubernetes_tokens(options):
            return
        name = naming.clip_name(cluster.metadata.name)
        if self.secrets.get(cluster.metadata.namespace, name) is not None:
            return
        body = access.token_secret(cluster, secrets.token_bytes(access.TOKEN_BYTES))
        try:
            self.secrets.absorb(await self._client.create(SECRETS, body, cluster.metadata.namespace))
        except StatusError as error:
            if not is_already_exists(error):  # somebody's own Secret of that name is used as it is
                raise

    async def _ensure_services(self, cluster: RayCluster) -> None:
        heads = self.head_services(cluster)
        if len(heads) > 1:
            raise ObstacleError(f"{len(heads)} head service found [{' '.join(s.metadata.name for s in heads)}]")
        if not heads:
            wanted = head_service(cluster, self._settings)
            await self._remove_left_over(cluster, wanted["metadata"]["name"])
            await self._create(cluster, SERVICES, wanted, informer=self.services)
        namespace, name = cluster.metadata.key
        if has_multi_host_group(cluster) and self.services.get(namespace, naming.headless_service(name)) is None:
            await self._create(cluster, SERVICES, headless_service(cluster), informer=self.services)
        if is_wanted(cluster) and self.services.get(namespace, naming.serve_service(name)) is None:
            try:
                body = serve_service(cluster)
            except ValueError as error:
                raise ObstacleError(str(error)) from error
            self.services.absorb(await self._client.create(SERVICES, body, namespace))

    async def _remove_left_over(self, cluster: RayCluster, name: str) -> None:
        """A RayJob keeps its Service after its end. Of the same name as this cluster's, and without a cluster behind it, it only stands in the way."""
        namespace = cluster.metadata.namespace
        found = self.services.get(namespace, name)
        owner = found.metadata.controller_owner() if found is not None else None
        if found is None or owner is None or owner.kind != RAY_JOBS.kind or not owner.api_version.startswith(f"{RAY_JOBS.group}/"):
            return
        job = self._jobs.get(namespace, owner.name)
        ended = job is None or job.metadata.uid != owner.uid or job.status.job_deployment_status in states.TERMINAL_DEPLOYMENT_STATUSES
        behind = (found.spec.selector or {}).get(names.CLUSTER_LABEL, "")
        if not ended or self._clusters.get(namespace, behind) is not None:
            return
        try:
            await self._client.delete(SERVICES, name, namespace, uid=found.metadata.uid)
        except StatusError as error:
            if not is_not_found(error) and not is_conflict(error):
                raise
        text = f"Deleted service {namespace}/{name}, which RayJob {owner.name} has left behind"
        self._events.event(cluster, "Normal", "DeletedService", text, "Delete")

    async def _ensure_storage(self, cluster: RayCluster) -> None:
        wanted = storage.storage_of(cluster)
        if wanted is None:
            return
        namespace, name = cluster.metadata.namespace, naming.storage_claim(cluster.metadata.name, wanted.claim_name)
        try:
            found = await self._client.get(PERSISTENT_VOLUME_CLAIMS, name, namespace)
        except StatusError as error:
            if not is_not_found(error):
                raise
            if wanted.claim_name:
                text = (
                    f'GcsFaultToleranceOptions.Storage.ClaimName "{name}" not found in namespace {namespace}; '
                    "the head Pod will not start until it exists"
                )
                self._events.event(cluster, "Warning", "FailedToCreatePVC", text, "Validate")
                return
            await self._create(cluster, PERSISTENT_VOLUME_CLAIMS, storage.claim(cluster, wanted), exists_is_fine=True)
            return
        if wanted.claim_name:
            return
        claim = storage.claim(cluster, wanted)
        if drift := storage.drift(claim, found):
            text = (
                f"GCS storage PVC {namespace}/{name} already exists and cannot be reconfigured in place ({drift}); "
                "delete the PVC to recreate it with the new settings"
            )
            self._events.event(cluster, "Warning", "FailedToCreatePVC", text, "Update")
        others = [owner for owner in found["metadata"].get("ownerReferences") or () if owner.get("uid") != cluster.metadata.uid]
        owners = [*others, *claim["metadata"].get("ownerReferences", ())]
        if owners != (found["metadata"].get("ownerReferences") or []):
            patch = {"metadata": {"ownerReferences": owners, "resourceVersion": found["metadata"]["resourceVersion"]}}
            await self._client.patch(PERSISTENT_VOLUME_CLAIMS, name, patch, namespace)

    async def _create(
        self,
        cluster: RayCluster,
        resource: Resource,
        body: dict[str, Any],
        *,
        exists_is_fine: bool = False,
        informer: Informer[Any] | None = None,
    ) -> None:
        """Creates and tells. KubeRay's reasons are Created<What> and FailedToCreate<What>."""
        what, shown = _WORDS[resource]
        key = f"{cluster.metadata.namespace}/{body['metadata']['name']}"
        try:
            made = await self._client.create(resource, body, cluster.metadata.namespace)
        except StatusError as error:
            if exists_is_fine and is_already_exists(error):
                return
            self._events.event(cluster, "Warning", f"FailedToCreate{what}", f"Failed creating {shown} {key}, {error}", "Create")
            raise
        if informer is not None:
            informer.absorb(made)
        self._events.event(cluster, "Normal", f"Created{what}", f"Created {shown} {key}", "Create")


_WORDS: Final[Mapping[Resource, tuple[str, str]]] = {
    SERVICE_ACCOUNTS: ("ServiceAccount", "service account"),
    ROLES: ("Role", "role"),
    ROLE_BINDINGS: ("RoleBinding", "role binding"),
    INGRESSES: ("Ingress", "ingress"),
    SERVICES: ("Service", "service"),
    PERSISTENT_VOLUME_CLAIMS: ("PVC", "GCS storage PVC"),
}


def _ingress_patch(found: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
    """A merge patch that makes labels, annotations and spec what they should be; empty where they are. A class that we did not set stays."""
    spec = {key: value for key, value in (found.get("spec") or {}).items() if key in wanted["spec"] or key != "ingressClassName"}
    metadata: dict[str, Any] = {}
    for key in ("labels", "annotations"):
        present = found["metadata"].get(key) or {}
        if present != wanted["metadata"][key]:
            metadata[key] = {**dict.fromkeys(present), **wanted["metadata"][key]}
    patch: dict[str, Any] = {"metadata": metadata} if metadata else {}
    if spec != wanted["spec"]:
        patch["spec"] = {**dict.fromkeys(spec), **wanted["spec"]}
    return patch


def _key(cluster: RayCluster) -> str:
    return f"{cluster.metadata.namespace}/{cluster.metadata.name}"

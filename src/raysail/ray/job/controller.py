"""Reconciling RayJobs: looks, asks the pure machine, does what it says, writes the status. What can fail, wait or race is here."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from raysail.api.batch import Job
from raysail.api.core.pod import Pod
from raysail.api.core.service import Service
from raysail.api.errors import StatusError, is_already_exists, is_not_found
from raysail.api.ray import RayCluster, RayJob, RayJobStatus, names
from raysail.api.ray import job as states
from raysail.api.resources import JOBS, PODS, RAY_CLUSTERS, RAY_JOBS, SERVICES
from raysail.kube.client import PatchType, Propagation
from raysail.kube.controller import Controller
from raysail.kube.informer import Key
from raysail.kube.manager import Manager
from raysail.ray import naming
from raysail.ray.cluster.controller import PODS_OF_CLUSTER, cluster_of_pod
from raysail.ray.cluster.deletion import JOBS_SELECTOR
from raysail.ray.cluster.pods import ROLES_SELECTOR, is_head
from raysail.ray.cluster.surroundings import HEAD_SERVICES, head_service_keys
from raysail.ray.dashboard import Addresses, Dashboard
from raysail.ray.job import machine, steps
from raysail.ray.job.cluster import cluster_for
from raysail.ray.job.follower import Follower
from raysail.ray.job.submitter import kubernetes_job, request_body
from raysail.ray.patches import merge_patch, wire
from raysail.ray.pods.build import with_default_authentication
from raysail.ray.services.head import owner_head_service
from raysail.ray.settings import RaySettings
from raysail.ray.tokens import Tokens
from raysail.ray.validation import InvalidError
from raysail.ray.validation import job as validation

logger = logging.getLogger(__name__)

_CONTROLLER: Final = "rayjob-controller"
_JOBS_OF_CLUSTER: Final = "ray jobs of a cluster"
_RESYNC_SECONDS: Final = 300
_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"


def cluster_of_job(job: RayJob) -> list[Key]:
    """Index: (namespace, cluster) of RayJobs that have chosen one."""
    return [(job.metadata.namespace, job.status.ray_cluster_name)] if job.status.ray_cluster_name else []


def owning_job(obj: Service | Job) -> list[Key]:
    """The RayJob that controls an object, if one does."""
    owner = obj.metadata.controller_owner()
    return [(obj.metadata.namespace, owner.name)] if owner and owner.kind == "RayJob" and owner.api_version.startswith("ray.io/") else []


class JobController:
    """One for all RayJobs. `controller` and `follower` are what the manager runs."""

    def __init__(self, manager: Manager, settings: RaySettings, addresses: Addresses | None) -> None:
        self._manager, self._client, self._settings = manager, manager.client, settings
        self._jobs = manager.informer(RAY_JOBS, RayJob, {_JOBS_OF_CLUSTER: cluster_of_job})
        self._clusters = manager.informer(RAY_CLUSTERS, RayCluster)
        self._services = manager.informer(SERVICES, Service, {HEAD_SERVICES: head_service_keys})
        self._submitters = manager.informer(JOBS, Job, label_selector=JOBS_SELECTOR)
        self._pods = manager.informer(PODS, Pod, {PODS_OF_CLUSTER: cluster_of_pod}, label_selector=ROLES_SELECTOR)
        self.controller = Controller(_CONTROLLER, self.reconcile, settings.concurrency)
        proxy = manager.client if settings.use_kubernetes_proxy else None
        dashboard = Dashboard(timeout_seconds=settings.dashboard_timeout_seconds, addresses=addresses, proxy=proxy)
        self.follower = Follower(
            dashboard,
            Tokens(manager.client),
            manager.clock,
            settings.job_poll_seconds,
            eager_seconds=settings.eager_poll_seconds if settings.submit_when_head_answers else None,
            changed=self.controller.enqueue,
            trouble=self._token_trouble,
        )
        self.controller.watches(self._jobs)
        self.controller.watches(self._clusters, lambda cluster: self._jobs_on(cluster.metadata.key))
        self.controller.watches(self._services, owning_job)
        self.controller.watches(self._submitters, owning_job)
        self._submitters.on_change(self._submitter_changed)
        self._pods.on_change(self._pod_changed)

    async def reconcile(self, key: Key) -> float | None:
        """One look at one job."""
        job = self._jobs.get(*key)
        if job is None or job.spec.managed_by not in (None, "", names.KUBERAY_CONTROLLER):
            self.follower.forget(key)
            return None
        if job.metadata.deletion_timestamp is not None:
            return await self._delete(job)
        if not await self._is_valid(job):
            return None
        seen = self._look(job)
        now = self._manager.clock.now()
        step = machine.step(job, seen, now, self._settings)
        if not any(isinstance(action, steps.Ask) for action in step.actions):
            self.follower.forget(key)
        for event in step.events:
            self._event(job, event.type, event.reason, event.message, event.action)
        for action in step.actions:
            await self._carry_out(job, seen, action)
        if step.status is not None:
            await self._write(job, step.status)
            return None  # the write brings us back
        waits = [step.wake_seconds] if step.wake_seconds is not None else []
        if (deadline := machine.next_deadline(job, seen, self._settings)) is not None:
            waits.append(max(0.1, (deadline - now).total_seconds()))
        return min(waits, default=_RESYNC_SECONDS if job.status.job_deployment_status == states.DEPLOYMENT_RUNNING else None)

    def _look(self, job: RayJob) -> steps.Seen:
        namespace, name = job.metadata.key
        cluster_key = (namespace, job.status.ray_cluster_name)
        cluster = self._clusters.get(*cluster_key)
        heads = [pod for pod in self._pods.by_index(PODS_OF_CLUSTER, cluster_key) if is_head(pod)]
        service = self._head_service(cluster)
        answer = None
        if cluster is not None:
            url = job.status.dashboard_url or machine.dashboard_url(service, self._settings)
            answer = self.follower.answer(job.metadata.key, url, job.status.job_id or "-", cluster)
        return steps.Seen(
            cluster=cluster,
            head_service=service,
            own_service=self._services.get(namespace, naming.owner_head_service(name)),
            submitter=self._submitters.get(namespace, name),
            head_pod=heads[0] if heads else None,
            answer=answer,
            names=(random_suffix(), random_suffix()),
        )

    def _head_service(self, cluster: RayCluster | None) -> Service | None:
        if cluster is None:
            return None
        name = naming.head_service(cluster.metadata.name, cluster.spec.head_group_spec.head_service)
        return self._services.get(cluster.metadata.namespace, name)

    async def _is_valid(self, job: RayJob) -> bool:
        """Writes and tells what is wrong with a job, if something is."""
        reason = "InvalidRayJobMetadata"
        try:
            validation.check_metadata(job)
            reason = "InvalidRayJobSpec"
            validation.check_spec(job.spec, job.metadata.annotations, self._settings.gates)
            reason = "InvalidRayJobStatus"
            validation.check_status(job)
        except InvalidError as error:
            self.follower.forget(job.metadata.key)
            self._event(job, "Warning", reason, f"{job.metadata.namespace}/{job.metadata.name}: {error}", "Validate")
            if job.status.job_deployment_status != states.DEPLOYMENT_VALIDATION_FAILED:
                status = msgspec.structs.replace(
                    job.status,
                    job_deployment_status=states.DEPLOYMENT_VALIDATION_FAILED,
                    reason=states.VALIDATION_FAILED,
                    message=str(error),
                )
                await self._write(job, status)
            return False
        return True

    async def _delete(self, job: RayJob) -> float | None:
        """Asks Ray to stop the program, if it may still run, then lets the RayJob go, whatever Ray says."""
        self.follower.forget(job.metadata.key)
        if names.RAY_JOB_FINALIZER not in (job.metadata.finalizers or ()):
            self.follower.stopped(job.metadata.uid)
            return None
        status = job.status
        if status.job_status not in states.TERMINAL_JOB_STATUSES and status.dashboard_url and status.job_id:
            cluster = self._clusters.get(job.metadata.namespace, status.ray_cluster_name)
            effective = with_default_authentication(cluster, self._settings) if cluster else None
            if not self.follower.stop_job(job.metadata.key, job.metadata.uid, status.dashboard_url, status.job_id, effective):
                return self._settings.dashboard_timeout_seconds
        others = [finalizer for finalizer in job.metadata.finalizers or () if finalizer != names.RAY_JOB_FINALIZER]
        await self._set_finalizers(job, others)
        self.follower.stopped(job.metadata.uid)
        return None

    async def _set_finalizers(self, job: RayJob, finalizers: list[str]) -> None:
        patch = {"metadata": {"resourceVersion": job.metadata.resource_version, "finalizers": finalizers}}
        try:
            self._jobs.absorb(await self._client.patch(RAY_JOBS, job.metadata.name, patch, job.metadata.namespace))
        except StatusError as error:
            if not is_not_found(error):
                raise

    async def _write(self, job: RayJob, status: RayJobStatus) -> None:
        """Only on the version that the status was computed from: a conflict raises, and the next look decides anew."""
        changes = merge_patch(wire(job.status), wire(status))
        patch = {"metadata": {"resourceVersion": job.metadata.resource_version}, "status": changes}
        answer = await self._client.patch(RAY_JOBS, job.metadata.name, patch, job.metadata.namespace, subresource="status")
        self._jobs.absorb(answer)

    async def _carry_out(self, job: RayJob, seen: steps.Seen, action: steps.Action) -> None:
        match action:
            case steps.AddFinalizer():
                await self._set_finalizers(job, [*(job.metadata.finalizers or ()), names.RAY_JOB_FINALIZER])
            case steps.Ask(url, job_id):
                if seen.cluster is not None:
                    self.follower.follow(job.metadata.key, url, job_id, with_default_authentication(seen.cluster, self._settings))
            case steps.Submit():
                self.follower.submit(job.metadata.key, request_body(job))
            case steps.CreateCluster(name):
                await self._create_cluster(job, name)
            case steps.DeleteCluster(name, uid):
                await self._delete_cluster(job, name, uid)
            case steps.SuspendWorkers():
                await self._suspend_workers(job, seen.cluster)
            case steps.CreateSubmitter(status):
                await self._create_submitter(job, status, seen.cluster)
            case steps.DeleteSubmitter(name, uid):
                await self._delete_submitter(job, name, uid)
            case steps.EnsureService(update):
                await self._ensure_service(job, seen.cluster, update=update)
            case steps.DeleteSelf():
                await self._client.delete(RAY_JOBS, job.metadata.name, job.metadata.namespace, uid=job.metadata.uid)

    async def _create_cluster(self, job: RayJob, name: str) -> None:
        key = f"{job.metadata.namespace}/{name}"
        try:
            made = await self._client.create(RAY_CLUSTERS, cluster_for(job, name, self._settings), job.metadata.namespace)
        except StatusError as error:
            if not is_already_exists(error):
                self._event(job, "Warning", "FailedToCreateRayCluster", f"Failed to create RayCluster {key}: {error}", "Create")
            raise
        self._clusters.absorb(made)
        self._event(job, "Normal", "CreatedRayCluster", f"Created RayCluster {key}", "Create")

    async def _delete_cluster(self, job: RayJob, name: str, uid: str) -> None:
        key = f"{job.metadata.namespace}/{name}"
        try:
            answer = await self._client.delete(RAY_CLUSTERS, name, job.metadata.namespace, uid=uid)
        except StatusError as error:
            if is_not_found(error):
                return
            self._event(job, "Warning", "FailedToDeleteRayCluster", f"Failed to delete cluster {key}: {error}", "Delete")
            raise
        if answer.get("kind") == "RayCluster":
            self._clusters.absorb(answer)
        self._event(job, "Normal", "DeletedRayCluster", f"Deleted cluster {key}", "Delete")

    async def _suspend_workers(self, job: RayJob, cluster: RayCluster | None) -> None:
        if cluster is None:
            return
        key, groups = f"{cluster.metadata.namespace}/{cluster.metadata.name}", cluster.spec.worker_group_specs or []
        patch: list[dict[str, Any]] = [{"op": "test", "path": "/metadata/resourceVersion", "value": cluster.metadata.resource_version}]
        patch += [{"op": "add", "path": f"/spec/workerGroupSpecs/{at}/suspend", "value": True} for at in range(len(groups))]
        try:
            answer = await self._client.patch(RAY_CLUSTERS, cluster.metadata.name, patch, cluster.metadata.namespace, type=PatchType.JSON)
        except StatusError as error:
            self._event(job, "Warning", "FailedToUpdateRayCluster", f"Failed to suspend worker groups in cluster {key}: {error}", "Update")
            raise
        self._clusters.absorb(answer)
        text = f"Set the `suspend` field to true for all worker groups in cluster {key}"
        self._event(job, "Normal", "UpdatedRayCluster", text, "Update")

    async def _create_submitter(self, job: RayJob, status: RayJobStatus, cluster: RayCluster | None) -> None:
        if cluster is None:
            return
        key = f"{job.metadata.namespace}/{job.metadata.name}"
        body = kubernetes_job(job, status, with_default_authentication(cluster, self._settings), self._settings)
        try:
            made = await self._client.create(JOBS, body, job.metadata.namespace)
        except StatusError as error:
            if is_already_exists(error):
                return  # made by a try before; another's Job of that name shows itself by never submitting
            self._event(job, "Warning", "FailedToCreateRayJobSubmitter", f"Failed to create new Kubernetes Job {key}: {error}", "Create")
            raise
        self._submitters.absorb(made)
        self._event(job, "Normal", "CreatedRayJobSubmitter", f"Created Kubernetes Job {key}", "Create")

    async def _delete_submitter(self, job: RayJob, name: str, uid: str) -> None:
        key = f"{job.metadata.namespace}/{name}"
        try:
            await self._client.delete(JOBS, name, job.metadata.namespace, uid=uid, propagation=Propagation.BACKGROUND)
        except StatusError as error:
            if is_not_found(error):
                return
            self._event(job, "Warning", "FailedToDeleteRayJobSubmitter", f"Failed to delete submitter K8s Job {key}: {error}", "Delete")
            raise
        self._event(job, "Normal", "DeletedRayJobSubmitter", f"Deleted submitter K8s Job {key}", "Delete")

    async def _ensure_service(self, job: RayJob, cluster: RayCluster | None, *, update: bool) -> None:
        if cluster is None:
            return
        body = owner_head_service("RayJob", job.metadata.name, job.metadata.uid, cluster, self._settings)
        name, namespace = body["metadata"]["name"], job.metadata.namespace
        verb, done = ("update", "Updated") if update else ("create", "Created")
        try:
            if update:
                spec = {key: value for key, value in body["spec"].items() if key != "clusterIP"}
                made = await self._client.patch(SERVICES, name, {"spec": spec}, namespace)
            else:
                made = await self._client.create(SERVICES, body, namespace)
        except StatusError as error:
            if is_already_exists(error):
                return
            reason = f"FailedTo{verb.title()}Service"
            self._event(job, "Warning", reason, f"Failed to {verb} the service {namespace}/{name}, {error}", verb.title())
            raise
        self._services.absorb(made)
        self._event(job, "Normal", f"{done}Service", f"{done} the service {namespace}/{name}", verb.title())

    def _jobs_on(self, cluster: Key) -> Iterable[Key]:
        return [job.metadata.key for job in self._jobs.by_index(_JOBS_OF_CLUSTER, cluster)]

    def _submitter_changed(self, old: Job | None, new: Job | None) -> None:
        for key in owning_job(new or old) if (new or old) else ():  # type: ignore[arg-type]
            self.follower.poke(key)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        """A head that comes, goes or changes concerns jobs that submit beside it, and those that wait for it to answer."""
        pod = new or old
        if pod is None or not is_head(pod):
            return
        for cluster in cluster_of_pod(pod):
            for job in self._jobs.by_index(_JOBS_OF_CLUSTER, cluster):
                if job.spec.submission_mode == states.SIDECAR_MODE:
                    self.follower.poke(job.metadata.key)
                    self.controller.enqueue(job.metadata.key)
                elif self._settings.submit_when_head_answers and job.status.job_deployment_status == states.DEPLOYMENT_INITIALIZING:
                    self.controller.enqueue(job.metadata.key)

    def _token_trouble(self, key: Key, text: str) -> None:
        if (job := self._jobs.get(*key)) is not None:
            self._event(job, "Warning", "FailedToReadAuthToken", text, "Reconcile")

    def _event(self, job: RayJob, type_: str, reason: str, message: str, action: str) -> None:
        self._manager.events.event(job, type_, reason, message, action, controller=_CONTROLLER)


def random_suffix() -> str:
    """Five characters as Kubernetes chooses them: no vowels, no words."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(5))

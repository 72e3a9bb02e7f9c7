"""The shell of the ProvisioningRequest check: makes the requests with their PodTemplates, deletes what is no longer needed, tells the Workloads.

Source: Kueue pkg/controller/admissionchecks/provisioning (controller.go, admissioncheck_reconciler.go).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from raysail.api import conditions
from raysail.api.errors import is_already_exists, is_not_found
from raysail.api.kueue import AdmissionCheck, ProvisioningRequestConfig, Workload
from raysail.api.resources import ADMISSION_CHECKS, POD_TEMPLATES, PROVISIONING_REQUEST_CONFIGS, Resource
from raysail.kube.controller import Controller
from raysail.kube.informer import Key
from raysail.kube.manager import Manager
from raysail.queue.cache import QueueCache
from raysail.queue.checks.parameters import ParametersError, checks_of, config_of, configs_used
from raysail.queue.checks.provisioning import as_judged, concerns, judge, to_create
from raysail.queue.checks.requests import (
    PROVISIONING_REQUESTS,
    ProvisioningRequest,
    RequestedPods,
    last_requests,
    merged_pod_sets,
    request_body,
    template_body,
    template_name,
)
from raysail.queue.lifecycle import status as transitions
from raysail.queue.lifecycle.outcomes import cut
from raysail.queue.model.activity import PROVISIONING_CONTROLLER
from raysail.queue.model.workload import is_finished
from raysail.queue.settings import QueueSettings
from raysail.queue.writes import StatusWriter


def _by_owner(request: ProvisioningRequest) -> Iterable[Key]:
    return [(request.metadata.namespace, owner.name) for owner in request.metadata.owner_references or ()]


def _by_config(check: AdmissionCheck) -> Iterable[str]:
    return configs_used(check, PROVISIONING_CONTROLLER, PROVISIONING_REQUEST_CONFIGS)


def _by_check(workload: Workload) -> Iterable[str]:
    return [check.name for check in workload.status.admission_checks or ()]


class ProvisioningController:
    """Reconciles Workloads that have a check of this kind."""

    def __init__(self, manager: Manager, cache: QueueCache, settings: QueueSettings) -> None:
        self.cache = cache
        self.settings = settings
        self.clock = manager.clock
        self.client = manager.client
        self.events = manager.events
        self.writer = cache.workload_writer
        self.requests = manager.informer(PROVISIONING_REQUESTS, ProvisioningRequest, {"owner": _by_owner}, optional=True)
        self.configs = manager.informer(PROVISIONING_REQUEST_CONFIGS, ProvisioningRequestConfig, optional=True)
        cache.checks.add_indexes({"provisioning_config": _by_config})
        cache.workloads.add_indexes({"check": _by_check})
        self.controller = Controller("provisioning", self.reconcile, settings.parallel("Workload.kueue.x-k8s.io", 5))
        cache.workloads.on_change(self._workload_changed)
        self.controller.watches(self.requests, _by_owner)
        cache.checks.on_change(lambda old, new: self._check_changed((new or old).metadata.name))  # type: ignore[union-attr]
        self.configs.on_change(self._config_changed)
        manager.add(self.controller)

    def _workload_changed(self, old: Workload | None, new: Workload | None) -> None:
        if new is not None and (self._checks(new) or self.requests.by_index("owner", new.metadata.key)):
            self.controller.enqueue(new.metadata.key)

    def _check_changed(self, name: str) -> None:
        for workload in self.cache.workloads.by_index("check", name):
            self.controller.enqueue(workload.metadata.key)

    def _config_changed(self, old: ProvisioningRequestConfig | None, new: ProvisioningRequestConfig | None) -> None:
        name = (new or old).metadata.name  # type: ignore[union-attr]
        for check in self.cache.checks.by_index("provisioning_config", name):
            self._check_changed(check.metadata.name)

    def _checks(self, workload: Workload) -> list[str]:
        return checks_of(workload.status.admission_checks, PROVISIONING_CONTROLLER, lambda name: self.cache.checks.get("", name))

    def _config(self, name: str) -> ProvisioningRequestConfig | None:
        check = self.cache.checks.get("", name)
        if check is None:
            return None
        try:
            return config_of(check, PROVISIONING_REQUEST_CONFIGS, lambda config: self.configs.get("", config))
        except ParametersError:
            return None  # the check's condition Active says why

    async def reconcile(self, key: Key) -> float | None:
        """States, then what is to go, then what is to come."""
        workload = self.cache.workloads.get(*key)
        if workload is None:
            return None
        evicted = conditions.is_true(workload.status.conditions, "Evicted")
        if not concerns(workload, evicted=evicted):
            return None
        owned = list(self.requests.by_index("owner", key))
        if is_finished(workload) or evicted:
            if is_finished(workload) or self.settings.gate("CleanupProvisioningRequestsOnEviction", True):
                await self._delete(owned)
            return None
        configs = {name: self._config(name) for name in self._checks(workload)}
        last = last_requests(workload, configs, owned)
        workload = await self._judge(workload, configs, last)
        if workload is None:
            return None
        kept = {request.metadata.name for request in last.values()}
        await self._delete(request for request in owned if request.metadata.name not in kept)
        for check, name in to_create(workload, configs, last).items():
            config = configs[check]
            if config is not None:
                await self._create(workload, check, config, name)
        for request in last.values():
            names = [each.pod_template_ref.name for each in request.spec.pod_sets or ()]
            await self._hand_over(workload, request.metadata.name, request.metadata.uid, names)
        return None

    async def _judge(
        self, workload: Workload, configs: Mapping[str, ProvisioningRequestConfig | None], last: Mapping[str, ProvisioningRequest]
    ) -> Workload | None:
        """The Workload with its checks in step; None where it is not what was looked at any more."""
        now = self.clock.now()
        status = msgspec.to_builtins(workload.status)
        verdict = judge(workload, status, configs, last, now)
        if not verdict.changed:
            return workload
        told: list[str] = []

        def change(current: Workload, present: dict[str, Any]) -> bool:
            if current.metadata.resource_version != workload.metadata.resource_version:
                return False  # its change enqueues it again
            again = judge(current, present, configs, last, now)
            told[:] = again.told
            return again.changed

        written = await self.writer.change(workload, change, alone=True)
        if written is not None:
            for message in told:
                self.events.event(written, "Normal", "AdmissionCheckUpdated", cut(message), "AdmissionCheckUpdated")
        return as_judged(written, msgspec.to_builtins(written.status)) if written is not None else None

    async def _delete(self, requests: Iterable[ProvisioningRequest]) -> None:
        for request in requests:
            meta = request.metadata
            try:
                await self.client.delete(PROVISIONING_REQUESTS, meta.name, meta.namespace, uid=meta.uid)
            except Exception as error:
                if not is_not_found(error):
                    raise

    async def _create(self, workload: Workload, check: str, config: ProvisioningRequestConfig, name: str) -> None:
        pods = merged_pod_sets(workload, config)
        templates = [template_name(name, each.pod_set.name) for each in pods]
        for template, each in zip(templates, pods, strict=True):
            await self._create_template(workload, check, template, each)
        body = request_body(workload, config, name, pods)
        created = await self._made(workload, check, PROVISIONING_REQUESTS, body)
        self.requests.absorb(created)
        message = f'Created ProvisioningRequest: "{name}"'
        self.events.event(workload, "Normal", "ProvisioningRequestCreated", message, "Created")
        await self._hand_over(workload, name, created["metadata"].get("uid", ""), templates)

    async def _create_template(self, workload: Workload, check: str, name: str, pods: RequestedPods) -> None:
        if await self._template(workload, name) is None:
            await self._made(workload, check, POD_TEMPLATES, template_body(workload, name, pods, self.cache.world.flavors))

    async def _template(self, workload: Workload, name: str) -> dict[str, Any] | None:
        try:
            return await self.client.get(POD_TEMPLATES, name, workload.metadata.namespace)
        except Exception as error:
            if not is_not_found(error):
                raise
            return None

    async def _made(self, workload: Workload, check: str, resource: Resource, body: dict[str, Any]) -> dict[str, Any]:
        """Creates it; a refusal is told in the check and as an event, and raised."""
        try:
            return await self.client.create(resource, body, workload.metadata.namespace)
        except Exception as error:
            name = body["metadata"]["name"]
            if is_already_exists(error) and (
                resource != PROVISIONING_REQUESTS or self.requests.get(workload.metadata.namespace, name) is None
            ):
                raise  # made by an earlier reconcile whose answer was lost: the next look settles it, and nobody need read of it
            message = f'Error creating {resource.kind} "{name}": {error}'
            self.events.event(workload, "Warning", "FailedCreate", cut(message), "FailedCreate")
            await self.writer.change(workload, lambda current, status: _tell(status, check, message))
            raise

    async def _hand_over(self, workload: Workload, request: str, uid: str, templates: Iterable[str]) -> None:
        """The PodTemplates belong to the request from now on."""
        for name in templates:
            template = await self._template(workload, name)
            if template is None:
                continue
            owners = template["metadata"].get("ownerReferences") or []
            if any(
                owner.get("kind") == PROVISIONING_REQUESTS.kind and owner.get("uid") == uid and owner.get("controller") for owner in owners
            ):
                continue
            kept = [owner for owner in owners if not (owner.get("controller") and owner.get("uid") == workload.metadata.uid)]
            owner = {
                "apiVersion": PROVISIONING_REQUESTS.api_version,
                "kind": PROVISIONING_REQUESTS.kind,
                "name": request,
                "uid": uid,
                "controller": True,
                "blockOwnerDeletion": True,
            }
            patch = {"metadata": {"ownerReferences": [*kept, owner], "resourceVersion": template["metadata"].get("resourceVersion")}}
            await self.client.patch(POD_TEMPLATES, name, patch, workload.metadata.namespace)


def _tell(status: dict[str, Any], check: str, message: str) -> bool:
    for each in status.get("admissionChecks") or ():
        if each.get("name") == check and each.get("message") != message:
            each["message"] = message
            return True
    return False


class ProvisioningCheckController:
    """The condition Active of the AdmissionChecks of this kind: whether their settings can be used."""

    def __init__(self, manager: Manager, cache: QueueCache) -> None:
        self.checks = cache.checks
        self.clock = manager.clock
        self.configs = manager.informer(PROVISIONING_REQUEST_CONFIGS, ProvisioningRequestConfig, optional=True)
        cache.checks.add_indexes({"provisioning_config": _by_config})
        self.writer = StatusWriter(manager.client, ADMISSION_CHECKS, cache.checks)
        self.controller = Controller("provisioning-check", self.reconcile)
        self.controller.watches(cache.checks)
        self.configs.on_change(self._config_changed)
        manager.add(self.controller)

    def _config_changed(self, old: ProvisioningRequestConfig | None, new: ProvisioningRequestConfig | None) -> None:
        name = (new or old).metadata.name  # type: ignore[union-attr]
        for check in self.checks.by_index("provisioning_config", name):
            self.controller.enqueue(check.metadata.key)

    async def reconcile(self, key: Key) -> float | None:
        """Active, or why not."""
        check = self.checks.get(*key)
        if check is None or check.spec.controller_name != PROVISIONING_CONTROLLER:
            return None
        active, reason, message = True, "Active", "The admission check is active"
        try:
            config_of(check, PROVISIONING_REQUEST_CONFIGS, lambda name: self.configs.get("", name))
        except ParametersError as error:
            active, reason, message = False, "BadParametersRef", str(error)
        found = conditions.find(check.status.conditions, "Active")
        if found is not None and found.status == ("True" if active else "False"):
            return None

        def change(current: AdmissionCheck, status: dict[str, Any]) -> bool:
            return transitions.put(status, "Active", active, reason, message, self.clock.now(), current.metadata.generation)

        await self.writer.change(check, change)
        return None

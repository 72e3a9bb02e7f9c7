"""Suspending a RayService (KubeRay handleSuspend). Pure: what the conditions become, and whether things are to be deleted now.

Suspending is written before anything goes, and holds until everything has gone, whatever spec.suspend says meanwhile.
"""

from __future__ import annotations

from raysail.api.conditions import is_true
from raysail.api.ray import RayService, RayServiceStatus
from raysail.api.ray import service as states
from raysail.ray.service.draft import Draft


def is_deleting(service: RayService) -> bool:
    """Whether everything that the service made is to go now."""
    conditions = service.status.conditions
    return is_true(conditions, states.SUSPENDING) and not is_true(conditions, states.SUSPENDED)


def is_operative(draft: Draft) -> bool:
    """Whether the rest of the reconcile has nothing to do: it would make again what has just gone."""
    return is_true(draft.conditions, states.SUSPENDING) or is_true(draft.conditions, states.SUSPENDED)


def advance(service: RayService, draft: Draft, *, all_gone: bool) -> None:
    """The next state. `all_gone`: nothing that the service made is left."""
    if is_true(service.status.conditions, states.SUSPENDED):
        if not service.spec.suspend:
            _resume(service, draft)
    elif is_true(service.status.conditions, states.SUSPENDING):
        _finish(draft, all_gone=all_gone)
    elif service.spec.suspend:
        _begin(service, draft)


def _begin(service: RayService, draft: Draft) -> None:
    draft.generation = service.metadata.generation
    text = "Spec.Suspend is true; will delete all Kubernetes resources owned by this RayService."
    draft.set(states.SUSPENDING, True, states.SUSPEND_REQUESTED, text)
    draft.set(states.READY, False, states.SUSPEND_IN_PROGRESS, "RayService is suspending.")
    draft.set(states.UPGRADE_IN_PROGRESS, False, states.SUSPEND_IN_PROGRESS, "No upgrade in progress.")
    draft.set(states.ROLLBACK_IN_PROGRESS, False, states.SUSPEND_IN_PROGRESS, "No rollback in progress.")
    draft.active = draft.pending = RayServiceStatus()
    draft.endpoints, draft.service_status = 0, ""


def _finish(draft: Draft, *, all_gone: bool) -> None:
    if not all_gone:
        text = "Waiting for all Kubernetes resources owned by this RayService to be deleted."
        draft.set(states.SUSPENDING, True, states.SUSPEND_IN_PROGRESS, text)
        return
    text = "All owned resources have been deleted."
    draft.set(states.SUSPENDING, False, states.SUSPEND_COMPLETE, text)
    draft.set(states.SUSPENDED, True, states.SUSPEND_COMPLETE, text)
    draft.set(states.READY, False, states.SUSPEND_COMPLETE, "RayService is suspended.")
    draft.set(states.UPGRADE_IN_PROGRESS, False, states.SUSPEND_COMPLETE, "No upgrade in progress.")
    draft.set(states.ROLLBACK_IN_PROGRESS, False, states.SUSPEND_COMPLETE, "No rollback in progress.")


def _resume(service: RayService, draft: Draft) -> None:
    draft.generation = service.metadata.generation
    draft.set(states.SUSPENDED, False, states.RAY_SERVICE_RESUMED, "Spec.Suspend is false; RayService has resumed.")
    for condition in (states.READY, states.UPGRADE_IN_PROGRESS):
        draft.remove(condition)  # a fresh transition time: the time to initialize counts from here
        draft.set(condition, False, states.INITIALIZING, "RayService is initializing after resuming from suspend.")

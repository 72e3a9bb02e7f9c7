"""Evicting a Pod: deleting it, unless a disruption budget forbids (k8s.io/kubernetes pkg/registry/core/pod/storage/eviction.go)."""

from __future__ import annotations

from typing import Any

from raysail.api.errors import Cause, StatusError, bad_request
from raysail.api.meta import format_time
from raysail.api.selectors import from_object
from raysail.apiserver.rest import body as bodies
from raysail.apiserver.rest.answer import Answer
from raysail.apiserver.rest.call import Call
from raysail.apiserver.rest.deleting import options_of, remove
from raysail.apiserver.rest.reading import absent
from raysail.apiserver.rest.storing import encoder
from raysail.apiserver.subresources.binding import success

_BUDGETS = "poddisruptionbudgets.policy"


async def evict(call: Call) -> Answer:
    """POST pods/NAME/eviction."""
    value, _ = bodies.decode(call.body, bodies.media_type(call.header(b"content-type")), find_duplicates=False)
    if not isinstance(value, dict):
        raise bad_request("the body is not an Eviction")
    name = (value.get("metadata") or {}).get("name", "")
    if name and name != call.target.name:
        raise bad_request("name in URL does not match name in Eviction object")
    options = options_of(value.get("deleteOptions") or {})
    options.dry_run = options.dry_run or call.query.get("dryRun") == "All"
    record = call.store.latest("pods", call.key)
    if record is None:
        raise absent(call)
    pod = record.object()
    done = (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed", "Pending") or pod["metadata"].get("deletionTimestamp")
    if not done:
        await _spend(call, pod, dry_run=options.dry_run)
        record = call.store.latest("pods", call.key)
        if record is None:
            return success()
    await remove(call, record, options)
    return success()


async def _spend(call: Call, pod: dict[str, Any], *, dry_run: bool) -> None:
    """Takes one disruption from the Pod's budget. Raises StatusError (429) when there is none left."""
    labels = pod["metadata"].get("labels") or {}
    budgets = [
        budget
        for budget in call.store.latest_scan(_BUDGETS, call.target.namespace)
        if from_object((budget.object().get("spec") or {}).get("selector")).matches(labels)
    ]
    if not budgets:
        return
    if len(budgets) > 1:
        text = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        raise StatusError("InternalError", text, 500)
    budget = budgets[0].object()
    status = budget.setdefault("status", {})
    name = budget["metadata"]["name"]
    if not _is_ready(pod) and _may_lose_unhealthy(budget):
        return
    if status.get("observedGeneration", 0) < budget["metadata"].get("generation", 0):
        raise _not_now(f"The disruption budget {name} is still being processed by the server.", retry_after_seconds=10)
    if status.get("disruptionsAllowed", 0) <= 0:
        healthy, wanted = status.get("currentHealthy", 0), status.get("desiredHealthy", 0)
        raise _not_now(f"The disruption budget {name} needs {wanted} healthy pods and has {healthy} currently")
    status["disruptionsAllowed"] -= 1
    status.setdefault("disruptedPods", {})[pod["metadata"]["name"]] = format_time(call.shared.now())
    definition = call.shared.registry.find("policy", "v1", "poddisruptionbudgets")
    if definition is not None and not dry_run:
        await call.store.put(_BUDGETS, budgets[0].key, encoder(definition, budget))


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _may_lose_unhealthy(budget: dict[str, Any]) -> bool:
    """A Pod that is not ready costs nothing: always with AlwaysAllow, else as long as enough others are healthy."""
    status = budget["status"]
    enough = status.get("currentHealthy", 0) >= status.get("desiredHealthy", 0) > 0
    return enough or (budget.get("spec") or {}).get("unhealthyPodEvictionPolicy") == "AlwaysAllow"


def _not_now(text: str, retry_after_seconds: int = 0) -> StatusError:
    details = {"retryAfterSeconds": retry_after_seconds} if retry_after_seconds else {}
    message = "Cannot evict pod as it would violate the pod's disruption budget."
    return StatusError("TooManyRequests", message, 429, (Cause("DisruptionBudget", text),), details)

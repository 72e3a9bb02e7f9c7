"""Reconcile tables: objects into an API in memory, one reconcile of the real reconciler, objects and events out.

`Scene` is for every kind: give it the kind's framework, put objects in, `reconcile` once, read what is there afterwards. The README of the corpus says
what is compared; `compare_objects` and `compare_events` leave out what it leaves out.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from raysail.api.core import Namespace
from raysail.api.meta import owner_reference, parse_time
from raysail.api.resources import NAMESPACES, PRIORITY_CLASSES, RESOURCE_FLAVORS, WORKLOAD_PRIORITY_CLASSES, WORKLOADS, Resource
from raysail.api.selectors import EVERYTHING, Requirement, Selector
from raysail.queue.cache import QueueCache
from raysail.queue.jobs import KINDS, reconciler_of
from raysail.queue.jobs.kind import JobKind
from raysail.queue.jobs.shared import Jobs
from raysail.queue.settings import QueueSettings, WaitForPodsReady
from tests.conformance.decisions.corpus import Case, Json, by_value, differences, plain
from tests.conformance.decisions.memory import Bench, MemoryClient

NOW = "2026-11-23T07:00:00Z"
OPERATORS = {"=": "In", "==": "In", "in": "In", "!=": "NotIn", "notin": "NotIn", "exists": "Exists", "!": "DoesNotExist"}


@dataclass
class Outcome:
    """What one reconcile left behind. `error`: the text of what it raised; `again`: the seconds after which it wants to look again."""

    api: MemoryClient
    error: str | None
    again: float | None
    events: list[Json] = field(default_factory=list)

    def one(self, resource: Resource, namespace: str, name: str) -> Json | None:
        found = (o for o in self.api.of(resource) if (o["metadata"].get("namespace", ""), o["metadata"]["name"]) == (namespace, name))
        return next(found, None)

    def all(self, resource: Resource) -> list[Json]:
        return self.api.of(resource)


def settings_of(case: Case) -> QueueSettings:
    """The settings that a case's reconciler options and gates stand for; what Kueue's test leaves out is off."""
    said: dict[str, Any] = {}
    for option in case.given.get("reconcilerOptions") or ():
        said.update(option["$option"])
    selector = EVERYTHING
    if said.get("ManagedJobsNamespaceSelector"):
        selector = Selector(
            tuple(
                Requirement(each["key"], OPERATORS[each["operator"]], frozenset(each.get("strValues") or ()))
                for each in said["ManagedJobsNamespaceSelector"]
            )
        )
    retention = (said.get("WorkloadRetentionPolicy") or {}).get("AfterDeactivatedByKueue")
    return QueueSettings(
        manage_jobs_without_queue_name=bool(said.get("ManageJobsWithoutQueueName")),
        managed_jobs_namespace_selector=selector,
        wait_for_pods_ready=WaitForPodsReady() if said.get("WaitForPodsReady") else None,
        label_keys_to_copy=tuple(said.get("LabelKeysToCopy") or ()),
        annotation_keys_to_copy=tuple(said.get("AnnotationsToCopy") or ()),
        retention_after_deactivated_seconds=_seconds(retention) if retention is not None else None,
        feature_gates=case.gates,
    )


def _seconds(text: str) -> float:
    """Go's text of a duration, in the units that the corpus uses."""
    total = timedelta()
    number = ""
    for letter in text:
        if letter.isdigit() or letter == ".":
            number += letter
        else:
            unit = {"h": "hours", "m": "minutes", "s": "seconds"}[letter]
            total += timedelta(**{unit: float(number)})
            number = ""
    return total.total_seconds()


class Scene:
    """An API with its objects, before the reconcile."""

    def __init__(self, case: Case, settings: QueueSettings | None = None) -> None:
        self.settings = settings or settings_of(case)
        self.bench = Bench(parse_time(case.now or NOW))
        self._objects: list[tuple[Resource, Json]] = []

    def put(self, resource: Resource, objects: Iterable[Json | None] | None) -> None:
        """Adds objects; None are left out."""
        self._objects += [(resource, obj) for obj in objects or () if obj is not None]

    def put_any(self, objects: Iterable[Json] | None) -> None:
        """Adds objects by the kind they say they are."""
        for obj in objects or ():
            self.put(resource_of(obj), [obj])

    def put_workloads(self, workloads: Iterable[Json] | None, owner: Json | None, kind: JobKind) -> None:
        """Adds Workloads; those without a controller belong to `owner`, where one is given."""
        for given in workloads or ():
            workload = copy.deepcopy(given)
            owners = workload["metadata"].get("ownerReferences") or []
            if owner is not None and not any(each.get("controller") for each in owners):
                named = {"apiVersion": kind.resource.api_version, "kind": kind.resource.kind, "metadata": {"uid": "", **owner["metadata"]}}
                workload["metadata"]["ownerReferences"] = [*owners, owner_reference(named)]
            self.put(WORKLOADS, [workload])

    def reconcile(self, framework: str, namespace: str, name: str, *, kind: JobKind | None = None) -> Outcome:
        """One reconcile of that job by the reconciler of its kind (another instance of it, where given)."""
        return self.act(framework, lambda reconciler: reconciler.attempt((namespace, name)), kind=kind)

    def act(self, framework: str, act: Callable[[Any], Awaitable[float | None]], *, kind: JobKind | None = None) -> Outcome:
        """Something else that the reconciler of that kind does."""
        return asyncio.run(self._act(kind or KINDS[framework], act))

    async def _act(self, kind: JobKind, act: Callable[[Any], Awaitable[float | None]]) -> Outcome:
        bench = self.bench
        bench.manager.informer(NAMESPACES, Namespace)
        kinds = {**KINDS, kind.framework: kind}
        jobs = Jobs(bench.manager, QueueCache(bench.manager, self.settings), self.settings, kinds.values())
        reconciler = reconciler_of(kind)(jobs, kind)
        for resource, obj in self._objects:
            bench.add(resource, [obj])
        outcome = Outcome(bench.client, None, None)
        try:
            outcome.again = await act(reconciler)
        except Exception as error:  # what is raised is part of the outcome
            outcome.error = f"{type(error).__name__}: {error}"
        for said in bench.events.said:
            of, _, about = said["key"].partition("/")
            key = {"Name": about, "Namespace": of}
            outcome.events.append({"Key": key, "EventType": said["type"], "Reason": said["reason"], "Message": said["message"]})
        return outcome


def resource_of(obj: Json) -> Resource:
    """The kind of an object that says what it is."""
    known = (PRIORITY_CLASSES, WORKLOAD_PRIORITY_CLASSES, WORKLOADS, RESOURCE_FLAVORS, NAMESPACES, *(k.resource for k in KINDS.values()))
    group, _, version = obj.get("apiVersion", "").rpartition("/")
    found = next((r for r in known if (r.group, r.kind) == (group, obj.get("kind"))), None)
    return found or Resource(group, version, obj.get("kind", ""), f"{obj.get('kind', '').lower()}s")


def _name(obj: Json) -> tuple[str, str]:
    return obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def comparable(obj: Json | None, *, without: Iterable[str] = ()) -> Any:
    """An object without what no case compares; `without` names paths (`metadata.labels`) that its kind does not compare either."""
    if obj is None:
        return {}
    kept = copy.deepcopy(obj)
    for path in ("kind", "apiVersion", "metadata.resourceVersion", "metadata.managedFields", *without):
        _drop(kept, path.split("."))
    status = kept.get("status")
    if isinstance(status, dict):
        if isinstance(status.get("conditions"), list):
            status["conditions"] = {
                c["type"]: {k: v for k, v in c.items() if k not in ("lastTransitionTime", "lastProbeTime", "observedGeneration")}
                for c in status["conditions"]
            }
        for check in status.get("admissionChecks") or ():
            check.pop("lastTransitionTime", None)
        if not any(c.get("status") == "True" for t, c in (status.get("conditions") or {}).items() if t == "QuotaReserved"):
            status.pop("admission", None)
    return plain(by_value(kept))


def _drop(obj: Any, path: list[str]) -> None:
    for part in path[:-1]:
        obj = obj.get(part) if isinstance(obj, dict) else None
    if isinstance(obj, dict):
        obj.pop(path[-1], None)


def compare_object(got: Json | None, want: Json | None, at: str, *, without: Iterable[str] = ()) -> list[str]:
    return differences(comparable(got, without=without), comparable(want, without=without), at)


def compare_objects(got: Iterable[Json], want: Iterable[Json] | None, at: str, *, without: Iterable[str] = ()) -> list[str]:
    """Two lists of objects, by name."""
    without = tuple(without)
    return differences(
        [comparable(each, without=without) for each in sorted(got, key=_name)],
        [comparable(each, without=without) for each in sorted(want or (), key=_name)],
        at,
    )


def compare_events(outcome: Outcome, want: Iterable[Mapping[str, Any]] | None) -> list[str]:
    """All events, in order."""
    return differences(plain(outcome.events), plain(list(want or ())), "events")


def compare_error(outcome: Outcome, want: Any) -> list[str]:
    """Whether it raised what it should. A wanted text is part of what was raised; `any error` is any."""
    if (outcome.error is None) != (want is None):
        return [f"error: got {outcome.error}, want {want}"]
    if want and want != "any error" and str(want) not in str(outcome.error):
        return [f"error: got {outcome.error}, want {want}"]
    return []


# --- batch Job ----------------------------------------------------------------------------------------------------------------------------


def batch_job(case: Case) -> list[str]:
    kind = KINDS["batch/job"]
    scene = Scene(case)
    job = case.given.get("job")
    scene.put(kind.resource, [job, *(case.given.get("otherJobs") or ())])
    scene.put(NAMESPACES, [case.fixtures.get("testNamespace"), case.fixtures.get("labelledNamespace")])
    scene.put(RESOURCE_FLAVORS, [{"metadata": {"name": "default"}, "spec": {}}])
    scene.put_any(case.given.get("priorityClasses"))
    prebuilt = job is not None and _prebuilt(job)
    scene.put_workloads(case.given.get("workloads"), None if prebuilt else job, kind)
    key = case.given.get("reconcileKey") or {"Namespace": job["metadata"]["namespace"], "Name": job["metadata"]["name"]}
    outcome = scene.reconcile(kind.framework, key.get("Namespace", ""), key["Name"])
    want = case.want
    ours = ("metadata.ownerReferences", "metadata.annotations")
    of_workload = () if prebuilt else ("metadata.ownerReferences",)
    found = compare_error(outcome, want.get("wantErr"))
    found += compare_object(
        outcome.one(kind.resource, key.get("Namespace", ""), key["Name"]), _present(want.get("wantJob")), "job", without=ours
    )
    found += compare_objects(
        outcome.all(WORKLOADS), want.get("wantWorkloads"), "workloads", without=(*of_workload, *(() if prebuilt else ("metadata.name",)))
    )
    return found + compare_events(outcome, want.get("wantEvents"))


# --- RayCluster ---------------------------------------------------------------------------------------------------------------------------


def ray_cluster(case: Case) -> list[str]:
    kind = KINDS["ray.io/raycluster"]
    scene = Scene(case)
    job = case.given["job"]
    scene.put(NAMESPACES, [case.fixtures.get("namespace")])
    scene.put_any(case.given.get("initObjects"))
    scene.put_any(case.given.get("priorityClasses"))
    scene.put(kind.resource, [job])
    scene.put_workloads(case.given.get("workloads"), job, kind)
    outcome = scene.reconcile(kind.framework, job["metadata"]["namespace"], job["metadata"]["name"])
    got = outcome.one(kind.resource, job["metadata"]["namespace"], job["metadata"]["name"])
    found = compare_error(outcome, case.want.get("wantErr"))
    found += compare_object(got, _present(case.want.get("wantJob")), "job", without=("metadata",))
    return found + compare_objects(
        _without_templates(outcome.all(WORKLOADS)),
        _without_templates(case.want.get("wantWorkloads")),
        "workloads",
        without=("metadata", "spec.priority"),
    )


def _without_templates(workloads: Iterable[Json] | None) -> list[Json]:
    kept = copy.deepcopy(list(workloads or ()))
    for pod_set in (pod_set for workload in kept for pod_set in workload["spec"].get("podSets") or ()):
        pod_set.pop("template", None)
    return kept


def _prebuilt(job: Json) -> str:
    meta = job["metadata"]
    name = "kueue.x-k8s.io/prebuilt-workload-name"
    return (meta.get("labels") or {}).get(name) or (meta.get("annotations") or {}).get(name) or ""


def _present(obj: Json | None) -> Json | None:
    """None for the empty object that stands for a job that is not there."""
    return obj if obj and obj.get("metadata") else None


RUNNERS = {
    "jobs-job": {"TestReconciler": batch_job},
    "jobs-raycluster": {"TestReconciler": ray_cluster},
}

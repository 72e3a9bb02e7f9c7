"""Which rules are for which kind, operation and subresource; and the answer as kube-apiserver gives it for a webhook's refusal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from raysail.api.errors import Cause, StatusError
from raysail.api.kueue.admission.batchjobs import batch_job_causes, other_job_causes
from raysail.api.kueue.admission.defaults import default_job
from raysail.api.kueue.admission.flavors import resource_flavor_causes
from raysail.api.kueue.admission.jobkinds import BATCH_JOB, BY_GROUP_KIND, POD, JobKind
from raysail.api.kueue.admission.pods import default_pod, pod_causes, pod_warnings
from raysail.api.kueue.admission.quotas import cluster_queue_causes, cohort_causes
from raysail.api.kueue.admission.rayjobs import RAY_KINDS, ray_causes
from raysail.api.kueue.admission.serving import SERVING_KINDS, default_serving, serving_causes
from raysail.api.kueue.admission.settings import AdmissionSettings
from raysail.api.kueue.admission.surroundings import Lookup, Surroundings, metadata_of
from raysail.api.kueue.admission.workloads import default_workload, workload_causes
from raysail.api.kueue.conversion import to_v1beta2
from raysail.api.kueue.names import GROUP, RESOURCE_IN_USE_FINALIZER
from raysail.api.resources import Resource

Json = Mapping[str, Any]
CREATE: Final = "CREATE"
UPDATE: Final = "UPDATE"
_SYSTEM_NAMESPACES: Final = frozenset({"kube-system", "kueue-system"})
"""Jobs there never go to Kueue's webhooks."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a webhook says. No causes: the object is let through."""

    webhook: str = ""
    causes: tuple[Cause, ...] = ()
    warnings: tuple[str, ...] = ()

    def error(self) -> StatusError | None:
        """The refusal as kube-apiserver passes it on: 403 with the webhook's name and all faults in one text."""
        if not self.causes:
            return None
        texts = list(dict.fromkeys(f"{cause.field}: {cause.message}" for cause in self.causes))
        joined = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
        return denied(self.webhook, joined)


def denied(webhook: str, text: str) -> StatusError:
    """403 as a webhook's refusal."""
    return StatusError("Forbidden", f'admission webhook "{webhook}" denied the request: {text}')


def concerns(resource: Resource) -> bool:
    """Whether there are webhooks for such objects, whatever the settings."""
    return resource.group == GROUP or (resource.group, resource.kind) in BY_GROUP_KIND


def mutate(
    resource: Resource,
    obj: dict[str, Any],
    old: Json | None,
    operation: str,
    lookup: Lookup,
    settings: AdmissionSettings | None = None,
    subresource: str = "",
) -> None:
    """Fills into `obj`, in place, what Kueue's mutating webhooks do. Raises StatusError where they refuse (an owner that is gone)."""
    if subresource or operation not in (CREATE, UPDATE):
        return
    settings = settings or AdmissionSettings()
    if resource.group == GROUP:
        if operation == CREATE:
            _mutate_kueue(resource.kind, obj, settings)
        return
    kind = _job_kind(resource, obj, settings)
    if kind is None or (operation == UPDATE and kind not in SERVING_KINDS):
        return
    world = Surroundings(lookup, settings)
    try:
        if kind is POD:
            default_pod(obj, world)
        elif kind in SERVING_KINDS:
            default_serving(obj, kind, world)
        else:
            default_job(obj, kind, world)
    except StatusError as error:
        raise denied(f"m{kind.name}.kb.io", error.message) from error


def review(
    resource: Resource,
    obj: Json,
    old: Json | None,
    operation: str,
    lookup: Lookup,
    settings: AdmissionSettings | None = None,
    subresource: str = "",
) -> Verdict:
    """What Kueue's validating webhooks say about a creation or update (`old` is what was there before)."""
    if operation not in (CREATE, UPDATE) or (subresource and (resource.kind, subresource) != ("Workload", "status")):
        return Verdict()
    settings = settings or AdmissionSettings()
    before = old if operation == UPDATE else None
    if resource.group == GROUP:
        return _review_kueue(resource, obj, before, settings)
    kind = _job_kind(resource, obj, settings)
    if kind is None:
        return Verdict()
    world, webhook = Surroundings(lookup, settings), f"v{kind.name}.kb.io"
    warnings: list[str] = []
    try:
        if kind is POD:
            causes = pod_causes(obj, before, world)
            warnings = pod_warnings(obj, before, world)
        elif kind in SERVING_KINDS:
            causes = serving_causes(obj, before, kind, world)
        elif kind in RAY_KINDS:
            causes = ray_causes(obj, before, kind, world)
        elif kind is BATCH_JOB:
            causes = batch_job_causes(obj, before, world)
        else:
            causes = other_job_causes(obj, before, kind, world)
    except StatusError as error:
        raise denied(webhook, error.message) from error
    return Verdict(webhook, tuple(causes), tuple(warnings))


def _job_kind(resource: Resource, obj: Json, settings: AdmissionSettings) -> JobKind | None:
    """The kind of job, where its webhooks are in force."""
    kind = BY_GROUP_KIND.get((resource.group, resource.kind))
    if kind is None or kind.framework not in settings.frameworks or kind.resource.version != resource.version:
        return None
    return None if metadata_of(obj).get("namespace", "") in _SYSTEM_NAMESPACES else kind


def _mutate_kueue(kind: str, obj: dict[str, Any], settings: AdmissionSettings) -> None:
    if kind == "Workload":
        default_workload(obj, settings)
    elif kind in ("ClusterQueue", "ResourceFlavor"):
        if obj.get("metadata") is None:
            obj["metadata"] = {}
        finalizers = obj["metadata"].get("finalizers") or []
        if RESOURCE_IN_USE_FINALIZER not in finalizers:
            obj["metadata"]["finalizers"] = [*finalizers, RESOURCE_IN_USE_FINALIZER]
        if kind == "ResourceFlavor":
            # Kueue's webhook writes a taint's key and effect out even where they are empty: the rule about effects speaks, not `required`.
            for taint in (obj.get("spec") or {}).get("nodeTaints") or ():
                taint.setdefault("key", "")
                taint.setdefault("effect", "")


def _review_kueue(resource: Resource, obj: Json, old: Json | None, settings: AdmissionSettings) -> Verdict:
    if resource.kind not in ("ClusterQueue", "Cohort", "ResourceFlavor", "Workload"):
        return Verdict()
    new = to_v1beta2(obj)
    before = to_v1beta2(old) if old is not None else None
    if resource.kind == "ClusterQueue":
        causes = cluster_queue_causes(new, before, settings)
    elif resource.kind == "Cohort":
        causes = cohort_causes(new)
    elif resource.kind == "ResourceFlavor":
        causes = resource_flavor_causes(new)
    else:
        causes = workload_causes(new, before, settings)
    return Verdict(f"v{resource.kind.lower()}.kb.io", tuple(causes))

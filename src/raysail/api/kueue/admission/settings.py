"""What of Kueue's Configuration decides about admission."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from raysail.api.kueue.configuration import V1BETA1, to_v1beta2, with_defaults
from raysail.api.kueue.external import external_framework
from raysail.api.resources import Resource
from raysail.api.selectors import Requirement, Selector, from_object

DEFAULT_GATES: Final[Mapping[str, bool]] = {
    "AdmissionGatedBy": True,
    "ConcurrentAdmission": False,
    "ElasticJobsViaWorkloadSlices": True,
    "LWSImmutableGroupSize": True,
    "MultiKueue": True,
    "PartialAdmission": True,
    "PriorityBoost": False,
    "RejectUpdatesToCQWithInvalidOnFlavors": False,
    "SkipAncestorCheckForDeletedWorkloads": True,
    "TASMultiLayerTopology": True,
    "TASValidateWorkloadSliceSize": True,
    "TopologyAwareScheduling": True,
    "ValidateRayAndSparkJobUpdates": True,
    "WorkloadIdentifierAnnotations": True,
    "WorkloadPriorityClassDefaulting": True,
    "WorkloadValidateResourcesAreNonNegative": True,
    "WorkloadValidationForPodSetMetadata": True,
}
"""Feature gates that admission looks at, with Kueue's defaults."""

SERVED_FRAMEWORKS: Final = frozenset(
    {
        "batch/job",
        "ray.io/rayjob",
        "ray.io/raycluster",
        "ray.io/rayservice",
        "jobset.x-k8s.io/jobset",
        "kubeflow.org/mpijob",
        "kubeflow.org/paddlejob",
        "kubeflow.org/pytorchjob",
        "kubeflow.org/tfjob",
        "kubeflow.org/xgboostjob",
        "kubeflow.org/jaxjob",
        "trainer.kubeflow.org/trainjob",
        "workload.codeflare.dev/appwrapper",
        "pod",
        "deployment",
        "statefulset",
        "leaderworkerset.x-k8s.io/leaderworkerset",
    }
)
"""Kinds of jobs that are held back where the configuration names none (`integrations.frameworks`)."""

FRAMEWORKS: Final = frozenset(
    {
        "batch/job",
        "kubeflow.org/mpijob",
        "ray.io/rayjob",
        "ray.io/raycluster",
        "ray.io/rayservice",
        "jobset.x-k8s.io/jobset",
        "kubeflow.org/paddlejob",
        "kubeflow.org/pytorchjob",
        "kubeflow.org/tfjob",
        "kubeflow.org/xgboostjob",
        "kubeflow.org/jaxjob",
        "workload.codeflare.dev/appwrapper",
        "trainer.kubeflow.org/trainjob",
        "pod",
        "deployment",
        "statefulset",
        "leaderworkerset.x-k8s.io/leaderworkerset",
    }
)
"""All kinds of jobs for which there are rules. Only those that a queue controller serves may be in force: nothing else would let them go."""

MANAGED_NAMESPACES: Final = Selector(
    (Requirement("kubernetes.io/metadata.name", "NotIn", frozenset({"kube-system", "kueue-system"})),),
)


@dataclass(frozen=True, slots=True)
class AdmissionSettings:
    """`manageJobsWithoutQueueName`, `managedJobsNamespaceSelector`, `integrations.frameworks` and feature gates that differ from their default."""

    manage_jobs_without_queue_name: bool = False
    managed_namespaces: Selector | None = MANAGED_NAMESPACES
    frameworks: frozenset[str] = SERVED_FRAMEWORKS
    gates: Mapping[str, bool] = field(default_factory=dict)
    external: tuple[Resource, ...] = ()
    """Kinds that others hold back (`integrations.externalFrameworks`)."""

    def enabled(self, gate: str) -> bool:
        """Whether a feature gate is on. Raises KeyError for one that admission does not know."""
        return self.gates[gate] if gate in self.gates else DEFAULT_GATES[gate]

    @classmethod
    def from_configuration(cls, config: Mapping[str, Any]) -> AdmissionSettings:
        """From Kueue's Configuration, v1beta1 or v1beta2. Where it names no frameworks, those that we serve are held back. Raises SelectorError, ValueError."""
        said = to_v1beta2(config) if config.get("apiVersion") == V1BETA1 else dict(config)
        integrations = said.get("integrations") or {}
        frameworks = integrations.get("frameworks")
        selector = with_defaults(said)["managedJobsNamespaceSelector"]
        return cls(
            bool(said.get("manageJobsWithoutQueueName")),
            from_object(selector),
            frozenset(frameworks) if frameworks else SERVED_FRAMEWORKS,
            {gate: on for gate, on in (said.get("featureGates") or {}).items() if gate in DEFAULT_GATES},
            tuple(external_framework(text) for text in integrations.get("externalFrameworks") or ()),
        )

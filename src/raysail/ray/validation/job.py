"""What makes a RayJob unusable (ValidateRayJobMetadata, ValidateRayJobSpec, ValidateRayJobStatus)."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

import yaml

from raysail.api.ray import DeletionStrategy, RayJob, RayJobSpec, names
from raysail.api.ray import job as states
from raysail.ray.go_yaml import parse_mapping
from raysail.ray.pods import authentication, autoscaler
from raysail.ray.settings import FeatureGates
from raysail.ray.validation import cluster
from raysail.ray.validation.errors import InvalidError, check_name

_INVALID: Final = "The RayJob spec is invalid: "
_DELETION_ORDER: Final = (states.DELETE_WORKERS, states.DELETE_CLUSTER, states.DELETE_SELF)
_DELETES_CLUSTER: Final = (states.DELETE_CLUSTER, states.DELETE_WORKERS)


def check_metadata(job: RayJob) -> None:
    """The name."""
    check_name("RayJob", job.metadata.name, names.MAX_RAY_JOB_NAME, prefix="The RayJob metadata is invalid: ")


def check_status(job: RayJob) -> None:
    """Waiting is for jobs that somebody else submits."""
    if job.status.job_deployment_status == states.DEPLOYMENT_WAITING and job.spec.submission_mode != states.INTERACTIVE_MODE:
        raise InvalidError(
            "The RayJob status is invalid: JobDeploymentStatus cannot be `Waiting` when SubmissionMode is not InteractiveMode"
        )


def check_spec(spec: RayJobSpec, annotations: Mapping[str, str] | None, gates: FeatureGates) -> None:
    """The whole spec, in KubeRay's order: the first fault is the one that is told."""
    if spec.suspend and not spec.shutdown_after_job_finishes:
        raise InvalidError(f"{_INVALID}a RayJob with shutdownAfterJobFinishes set to false is not allowed to be suspended")
    if spec.ttl_seconds_after_finished < 0:
        raise InvalidError(f"{_INVALID}TTLSecondsAfterFinished must be a non-negative integer")
    if not spec.shutdown_after_job_finishes and spec.ttl_seconds_after_finished > 0:
        raise InvalidError(f"{_INVALID}a RayJob with shutdownAfterJobFinishes set to false cannot have TTLSecondsAfterFinished")
    if spec.deletion_strategy is not None:
        _check_deletion(spec, spec.deletion_strategy, gates)
    _check_cluster_choice(spec)
    if spec.submission_mode == states.INTERACTIVE_MODE and (spec.backoff_limit or 0) > 0:
        raise InvalidError(f"{_INVALID}BackoffLimit is incompatible with InteractiveMode")
    if spec.submission_mode == states.SIDECAR_MODE:
        _check_sidecar_mode(spec)
    if spec.ray_cluster_spec is not None:
        if authentication.uses_kubernetes_tokens(spec.ray_cluster_spec.auth_options):
            raise InvalidError(f"{_INVALID}K8s token auth mode is currently not supported for RayJob")
        try:
            cluster.check_spec(spec.ray_cluster_spec, annotations, gates)
        except InvalidError as error:
            raise InvalidError(f"{_INVALID}{error}") from error
    try:
        parse_mapping(spec.runtime_env_yaml)
    except (yaml.YAMLError, ValueError) as error:
        raise InvalidError(f"failed to unmarshal RuntimeEnvYAML: {spec.runtime_env_yaml}: {error}") from error
    for field, value in (
        ("activeDeadlineSeconds", spec.active_deadline_seconds),
        ("preRunningDeadlineSeconds", spec.pre_running_deadline_seconds),
    ):
        if value is not None and value <= 0:
            raise InvalidError(f"{_INVALID}{field} must be a positive integer")
    if spec.backoff_limit is not None and spec.backoff_limit < 0:
        raise InvalidError(f"{_INVALID}backoffLimit must be a positive integer")


def _check_cluster_choice(spec: RayJobSpec) -> None:
    if spec.suspend and spec.cluster_selector:
        raise InvalidError(f"{_INVALID}the ClusterSelector mode doesn't support the suspend operation")
    if spec.ray_cluster_spec is None and not spec.cluster_selector:
        raise InvalidError(f"{_INVALID}one of RayClusterSpec or ClusterSelector must be set")
    if spec.cluster_selector:
        if not spec.cluster_selector.get(names.CLUSTER_LABEL):
            raise InvalidError("cluster name in ClusterSelector should not be empty")
        if spec.submission_mode == states.SIDECAR_MODE:
            raise InvalidError("ClusterSelector is not supported in SidecarMode")
        if (spec.backoff_limit or 0) > 0:
            raise InvalidError(f"{_INVALID}BackoffLimit is incompatible with ClusterSelector mode")


def _check_sidecar_mode(spec: RayJobSpec) -> None:
    if spec.submitter_pod_template is not None:
        raise InvalidError("Currently, SidecarMode doesn't support SubmitterPodTemplate")
    if spec.submitter_config is not None:
        raise InvalidError("Currently, SidecarMode doesn't support SubmitterConfig")
    template: Mapping[str, Any] = spec.ray_cluster_spec.head_group_spec.template if spec.ray_cluster_spec else {}
    if ((template.get("spec") or {}).get("restartPolicy") or "Never") != "Never":
        raise InvalidError("restartPolicy for head Pod should be Never or unset when using SidecarMode")


def _autoscales(spec: RayJobSpec) -> bool:
    return spec.ray_cluster_spec is not None and autoscaler.is_enabled(spec.ray_cluster_spec)


def _check_deletion(spec: RayJobSpec, strategy: DeletionStrategy, gates: FeatureGates) -> None:
    if not gates.ray_job_deletion_policy:
        raise InvalidError("RayJobDeletionPolicy feature gate must be enabled to use DeletionStrategy")
    legacy = strategy.on_success is not None or strategy.on_failure is not None
    if strategy.deletion_rules and spec.shutdown_after_job_finishes:
        raise InvalidError(f"{_INVALID}spec.shutdownAfterJobFinishes and spec.deletionStrategy.deletionRules are mutually exclusive")
    if strategy.deletion_rules and legacy:
        raise InvalidError(f"{_INVALID}Cannot use both legacy onSuccess/onFailure fields and deletionRules simultaneously")
    if legacy:
        _check_legacy_policies(spec, strategy)
    elif strategy.deletion_rules:
        _check_rules(spec, strategy)
    else:
        raise InvalidError(
            f"{_INVALID}DeletionStrategy requires either BOTH onSuccess and onFailure, OR the deletionRules field (cannot be empty)"
        )


def _check_legacy_policies(spec: RayJobSpec, strategy: DeletionStrategy) -> None:
    success, failure = strategy.on_success, strategy.on_failure
    if success is None or failure is None:
        raise InvalidError(
            "both DeletionStrategy.OnSuccess and DeletionStrategy.OnFailure must be set when using the legacy deletion policy fields of DeletionStrategy"
        )
    for name, policy in (("OnSuccess", success.policy), ("OnFailure", failure.policy)):
        if policy is None:
            raise InvalidError(f"the DeletionPolicyType field of DeletionStrategy.{name} cannot be unset when DeletionStrategy is enabled")
    for word, policy in (("success", success.policy), ("failure", failure.policy)):
        if spec.cluster_selector and policy in _DELETES_CLUSTER:
            raise InvalidError(f"the ClusterSelector mode doesn't support DeletionStrategy={policy} on {word}")
    policies = (success.policy, failure.policy)
    if states.DELETE_WORKERS in policies and _autoscales(spec):
        raise InvalidError("DeletionStrategy=DeleteWorkers currently does not support RayCluster with autoscaling enabled")
    if spec.shutdown_after_job_finishes and states.DELETE_NONE in policies:
        raise InvalidError(f"{_INVALID}shutdownAfterJobFinshes is set to 'true' while deletion policy is 'DeleteNone'")


def _check_rules(spec: RayJobSpec, strategy: DeletionStrategy) -> None:
    """All faults at once, one a line, as Go joins errors."""
    faults: list[str] = []
    seen: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
    for at, rule in enumerate(strategy.deletion_rules or ()):
        here, condition = f"deletionRules[{at}]", rule.condition
        if condition.job_status is not None and condition.job_deployment_status is not None:
            faults.append(f"{here}: cannot set both JobStatus and JobDeploymentStatus at the same time")
        elif condition.job_status is None and condition.job_deployment_status is None:
            faults.append(f"{here}: exactly one of JobStatus and JobDeploymentStatus must be set")
        elif condition.ttl_seconds < 0:
            faults.append(f"{here}: TTLSeconds must be non-negative")
        elif spec.cluster_selector and rule.policy in _DELETES_CLUSTER:
            faults.append(f"{here}: DeletionPolicyType '{rule.policy}' not supported when ClusterSelector is set")
        elif _autoscales(spec) and rule.policy == states.DELETE_WORKERS:
            faults.append(f"{here}: DeletionPolicyType 'DeleteWorkers' not supported with autoscaling enabled")
        else:
            kind = "JobStatus" if condition.job_status is not None else "JobDeploymentStatus"
            value = condition.job_status or condition.job_deployment_status or ""
            if rule.policy in seen[kind, value]:
                faults.append(f"{here}: duplicate rule for DeletionPolicyType '{rule.policy}' and {kind} '{value}'")
            else:
                seen[kind, value][rule.policy] = condition.ttl_seconds
    for (kind, value), ttls in sorted(seen.items(), key=lambda item: item[0][0] != "JobStatus"):
        ordered = [(policy, ttls[policy]) for policy in _DELETION_ORDER if policy in ttls]
        faults += [
            f"for {kind} '{value}': {policy} TTL ({ttl}) must be >= {before} TTL ({ttl_before})"
            for (before, ttl_before), (policy, ttl) in itertools.pairwise(ordered)
            if ttl < ttl_before
        ]
    if faults:
        raise InvalidError("\n".join(faults))

"""Pod failure policies and success policies of Jobs (pkg/controller/job/{pod_failure_policy,success_policy}.go)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from raysail.api.batch import PodFailureOnExitCodes, PodFailurePolicy, PodFailureRule, SuccessPolicy
from raysail.api.core import Pod
from raysail.api.core.pod import ContainerStatus
from raysail.builtin.jobs.indexes import parse_indexes


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a failed Pod means. `counts`: towards the back-off limit; `fails_index`: its index is lost; `fails_job`: why the Job is, or empty."""

    counts: bool = True
    fails_index: bool = False
    fails_job: str = ""


def judge(policy: PodFailurePolicy | None, pod: Pod) -> Verdict:
    """The first rule that matches decides; without one the Pod counts."""
    for at, rule in enumerate((policy.rules if policy else None) or ()):
        matched = _matched(rule, pod)
        if not matched:
            continue
        match rule.action:
            case "Ignore":
                return Verdict(counts=False)
            case "FailIndex":
                return Verdict(fails_index=True)
            case "Count":
                return Verdict()
            case "FailJob":
                return Verdict(fails_job=f"{matched} matching FailJob rule at index {at}")
    return Verdict()


def success_rule(policy: SuccessPolicy | None, completions: int, succeeded: Collection[int]) -> str:
    """The message of the first rule that the succeeded indexes satisfy; empty when none does."""
    if not succeeded:
        return ""
    for at, rule in enumerate((policy.rules if policy else None) or ()):
        if rule.succeeded_indexes is not None:
            required = parse_indexes(rule.succeeded_indexes, completions)
            if not required:
                continue
            found = len(required.intersection(succeeded))
            enough = found == len(required) or (rule.succeeded_count is not None and found >= rule.succeeded_count)
        else:
            enough = rule.succeeded_count is not None and len(succeeded) >= rule.succeeded_count
        if enough:
            return f"Matched rules at index {at}"
    return ""


def _matched(rule: PodFailureRule, pod: Pod) -> str:
    """What of the Pod matches, in Kubernetes' words; empty when nothing does."""
    where = f"{pod.metadata.namespace}/{pod.metadata.name}"
    if rule.on_exit_codes is not None:
        for statuses in (pod.status.container_statuses, pod.status.init_container_statuses):
            found = _container_with_exit_code(statuses or (), rule.on_exit_codes)
            if found is not None and found.state.terminated is not None:
                return f"Container {found.name} for pod {where} failed with exit code {found.state.terminated.exit_code}"
        return ""
    for condition in pod.status.conditions or ():
        if any((condition.type, condition.status) == (p.type, p.status or "True") for p in rule.on_pod_conditions or ()):
            return f"Pod {where} has condition {condition.type}"
    return ""


def _container_with_exit_code(statuses: Iterable[ContainerStatus], wanted: PodFailureOnExitCodes) -> ContainerStatus | None:
    for status in statuses:
        ended = status.state.terminated
        if ended is None or ended.exit_code == 0 or wanted.container_name not in (None, status.name):
            continue
        if (ended.exit_code in (wanted.values or ())) == (wanted.operator == "In"):
            return status
    return None

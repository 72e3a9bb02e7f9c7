"""What is deleted after a RayJob's end, and when: rules, the older policies, or the oldest, a mere flag (KubeRay handleDeletionRules and others)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from raysail.api.meta import parse_time
from raysail.api.ray import DeletionRule, RayJob
from raysail.api.ray import job as states
from raysail.ray.job.steps import DeleteCluster, DeleteSelf, Seen, Step, SuspendWorkers
from raysail.ray.settings import RaySettings

_SEVERITY: Final = {states.DELETE_NONE: 1, states.DELETE_WORKERS: 2, states.DELETE_CLUSTER: 3, states.DELETE_SELF: 4}


def after_end(job: RayJob, seen: Seen, now: datetime, settings: RaySettings) -> Step:
    """The next thing to delete, if any. A cluster that was chosen, not made, is never touched."""
    spec, strategy = job.spec, job.spec.deletion_strategy
    if spec.cluster_selector:
        return Step()
    if settings.gates.ray_job_deletion_policy and strategy is not None:
        if strategy.deletion_rules:
            return _by_rules(job, strategy.deletion_rules, seen, now)
        return _by_policies(job, seen, now)
    if not spec.shutdown_after_job_finishes:
        return Step()
    wait = _due_in(job, spec.ttl_seconds_after_finished, now)
    if wait > 0:
        return Step(wake_seconds=wait)
    return _carry_out(states.DELETE_SELF if settings.delete_ray_job_after_finish else states.DELETE_CLUSTER, seen)


def _by_rules(job: RayJob, rules: Sequence[DeletionRule], seen: Seen, now: datetime) -> Step:
    """Of the rules that are due the one that deletes most; one at a time, for what it leaves is looked at again."""
    due: list[str] = []
    waits: list[float] = []
    for rule in rules:
        if not _matches(rule, job):
            continue
        wait = _due_in(job, rule.condition.ttl_seconds, now)
        if wait > 0:
            waits.append(wait)
        elif not _is_done(rule.policy, seen):
            due.append(rule.policy)
    step = _carry_out(max(due, key=lambda policy: _SEVERITY.get(policy, 0)), seen) if due else Step()
    return Step(actions=step.actions, wake_seconds=min(waits, default=None))


def _by_policies(job: RayJob, seen: Seen, now: datetime) -> Step:
    strategy = job.spec.deletion_strategy
    chosen = {states.SUCCEEDED: strategy and strategy.on_success, states.FAILED: strategy and strategy.on_failure}.get(
        job.status.job_status
    )
    policy = chosen.policy if chosen else None
    if policy is None or policy == states.DELETE_NONE:
        return Step()
    wait = _due_in(job, job.spec.ttl_seconds_after_finished, now)
    return Step(wake_seconds=wait) if wait > 0 else _carry_out(policy, seen)


def _matches(rule: DeletionRule, job: RayJob) -> bool:
    if rule.condition.job_status is not None:
        return rule.condition.job_status == job.status.job_status
    return rule.condition.job_deployment_status == job.status.job_deployment_status


def _due_in(job: RayJob, ttl_seconds: int, now: datetime) -> float:
    end = parse_time(job.status.end_time) if job.status.end_time else now
    return (end + timedelta(seconds=ttl_seconds) - now).total_seconds()


def _is_done(policy: str, seen: Seen) -> bool:
    if policy == states.DELETE_SELF:
        return False
    gone = seen.cluster is None or seen.cluster.metadata.deletion_timestamp is not None
    if policy == states.DELETE_WORKERS and seen.cluster is not None and not gone:
        return all(group.suspend for group in seen.cluster.spec.worker_group_specs or ())
    return gone or policy == states.DELETE_NONE


def _carry_out(policy: str, seen: Seen) -> Step:
    if policy == states.DELETE_SELF:
        return Step(actions=(DeleteSelf(),))
    if seen.cluster is None or _is_done(policy, seen):
        return Step()
    if policy == states.DELETE_WORKERS:
        return Step(actions=(SuspendWorkers(),))
    if policy == states.DELETE_CLUSTER:
        return Step(actions=(DeleteCluster(seen.cluster.metadata.name, seen.cluster.metadata.uid),))
    return Step()

"""`raysail queue` and `raysail why`: recomputed from the API's objects with the planner's own functions, so that they agree with what it does."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

import click
import msgspec

from raysail.api.core.node import Node
from raysail.api.durations import human_duration
from raysail.api.errors import StatusError, is_not_found
from raysail.api.kueue import AdmissionCheck, ClusterQueue, Cohort, LocalQueue, ResourceFlavor, Topology, Workload
from raysail.api.kueue.names import (
    ADMISSION_GATE,
    POD_GROUP_NAME,
    POD_GROUP_TOTAL_COUNT_ANNOTATION,
    PREBUILT_WORKLOAD_NAME,
    QUEUE_NAME_LABEL,
)
from raysail.api.resources import (
    ADMISSION_CHECKS,
    CLUSTER_QUEUES,
    COHORTS,
    DEPLOYMENTS,
    JOBS,
    LIMIT_RANGES,
    LOCAL_QUEUES,
    NAMESPACES,
    NODES,
    PODS,
    RAY_CLUSTERS,
    RAY_JOBS,
    RAY_SERVICES,
    RESOURCE_FLAVORS,
    RUNTIME_CLASSES,
    TOPOLOGIES,
    WORKLOADS,
    Resource,
)
from raysail.cli.connection import Api
from raysail.cli.objects import all_namespaces_option, namespace_option
from raysail.cli.output import table
from raysail.cli.phase import phase
from raysail.queue.answers.answer import Why
from raysail.queue.answers.explain import queue_listing
from raysail.queue.answers.explain import why as explain
from raysail.queue.answers.snapshot import Listed, Snapshot, build
from raysail.queue.model.slices import replacement_for
from raysail.queue.topology.pods import Pod


def snapshot(api: Api, now: float) -> Snapshot:
    """The planner's world from what the API lists."""
    limits: dict[str, list[Any]] = {}
    for found in api.list(LIMIT_RANGES):
        limits.setdefault(found["metadata"]["namespace"], []).append(found["spec"])
    overheads = {c["metadata"]["name"]: c["overhead"].get("podFixed") or {} for c in api.list(RUNTIME_CLASSES) if c.get("overhead")}
    topologies = msgspec.convert(api.list(TOPOLOGIES), list[Topology])
    listed = Listed(
        workloads=msgspec.convert(api.list(WORKLOADS), list[Workload]),
        cluster_queues=msgspec.convert(api.list(CLUSTER_QUEUES), list[ClusterQueue]),
        local_queues=msgspec.convert(api.list(LOCAL_QUEUES), list[LocalQueue]),
        cohorts=msgspec.convert(api.list(COHORTS), list[Cohort]),
        flavors=msgspec.convert(api.list(RESOURCE_FLAVORS), list[ResourceFlavor]),
        checks=msgspec.convert(api.list(ADMISSION_CHECKS), list[AdmissionCheck]),
        topologies=topologies,
        nodes=msgspec.convert(api.list(NODES), list[Node]) if topologies else (),
        pods=msgspec.convert(api.list(PODS), list[Pod]) if topologies else (),
        namespaces={n["metadata"]["name"]: n["metadata"].get("labels") or {} for n in api.list(NAMESPACES)},
        limit_ranges=limits,
        overheads=overheads,
    )
    return build(listed, now)


@click.command()
@click.argument("name", required=False)
@namespace_option
@all_namespaces_option
def queue(name: str | None, namespace: str, all_namespaces: bool) -> None:
    """Who runs and who waits, in order; NAME is a ClusterQueue (default: all)."""
    now = time.time()
    rows = []
    for entry in queue_listing(snapshot(Api(), now), now):
        if (name and entry.cluster_queue != name) or (not all_namespaces and not name and entry.job.namespace != namespace):
            continue
        position = str(entry.position) if entry.position else ""
        age = human_duration(now - entry.since) if entry.since else ""
        rows.append(
            [entry.cluster_queue, position, entry.job.name, entry.job.kind, entry.local_queue, entry.priority, entry.state, age, entry.why]
        )
    if not rows:
        click.echo("Nothing runs, nothing waits.", err=True)
        return
    click.echo(table(["CLUSTERQUEUE", "POSITION", "JOB", "KIND", "QUEUE", "PRIORITY", "STATE", "SINCE", "WHY"], rows))


@click.command()
@click.argument("name")
@namespace_option
def why(name: str, namespace: str) -> None:
    """Why a job (or Workload) is where it is, who holds what it needs, and what would help."""
    api = Api()
    now = time.time()
    world = snapshot(api, now)
    key = _workload_of(world, namespace, name.rpartition("/")[2])
    answer = explain(world, key, now) if key else None
    if answer is None:
        click.echo(_without_workload(api, namespace, name.rpartition("/")[2]))
        return
    click.echo("\n".join(lines(answer, now)))


def _workload_of(world: Snapshot, namespace: str, name: str) -> str | None:
    """The Workload called so, or the newest of the job called so; of slices made within one second (times are whole ones) the one not replaced yet."""
    direct = f"{namespace}/{name}"
    if direct in world.workloads:
        return direct
    replaced = {replacement_for(workload) for workload in world.workloads.values()}
    owned = [
        (workload.metadata.creation_timestamp or "", key not in replaced, key)
        for key, workload in world.workloads.items()
        if workload.metadata.namespace == namespace and any(o.name == name for o in workload.metadata.owner_references or ())
    ]
    return max(owned)[2] if owned else None


def _present(api: Api, resources: Iterable[Resource], namespace: str, name: str) -> Iterator[tuple[Resource, dict[str, Any]]]:
    """The objects of that name, asked for one kind after the other."""
    for resource in resources:
        try:
            found = api.get(resource, name, namespace)
        except StatusError as error:
            if is_not_found(error):
                continue
            raise
        yield resource, found


def _without_workload(api: Api, namespace: str, name: str) -> str:
    """What can be said of a job that has no Workload: it is in no queue, or its queue has not looked at it yet."""
    for resource, found in _present(api, (RAY_JOBS, RAY_CLUSTERS, RAY_SERVICES, JOBS), namespace, name):
        labels = found["metadata"].get("labels") or {}
        queue_name = labels.get(QUEUE_NAME_LABEL)
        prebuilt = (found["metadata"].get("annotations") or {}).get(PREBUILT_WORKLOAD_NAME) or labels.get(PREBUILT_WORKLOAD_NAME)
        if queue_name and prebuilt:
            return (
                f"{resource.kind} {namespace}/{name} waits for the Workload {prebuilt} that it names ({PREBUILT_WORKLOAD_NAME}): "
                "there is none of that name that it could take over. Create it, or take the name off the job."
            )
        if queue_name:
            return f"{resource.kind} {namespace}/{name} names the queue {queue_name} but has no Workload yet: is `raysail operator` running (raysail status)?"
        state = f", it is {phase(found).lower()}" if resource is RAY_JOBS else ""
        return f"{resource.kind} {namespace}/{name} is in no queue{state}: it starts without waiting. Label kueue.x-k8s.io/queue-name puts it into one."
    if said := _of_pods(api, namespace, name):
        return said
    raise click.UsageError(
        f"no job, cluster, service or Workload called {name} in namespace {namespace}: see `raysail list -A` and `raysail queue -A`"
    )


def _of_pods(api: Api, namespace: str, name: str) -> str | None:
    """What can be said of a Pod, or of a Deployment, whose Pods are queued one by one; None where there is neither."""
    for resource, found in _present(api, (DEPLOYMENTS, PODS), namespace, name):
        labels, annotations = found["metadata"].get("labels") or {}, found["metadata"].get("annotations") or {}
        if resource is DEPLOYMENTS and QUEUE_NAME_LABEL in labels:
            return f"Deployment {namespace}/{name} is queued Pod by Pod: `raysail get pods` lists them, `raysail why POD` tells about one"
        gated = any(gate["name"] == ADMISSION_GATE for gate in found["spec"].get("schedulingGates") or ())
        group = annotations.get(POD_GROUP_NAME) or labels.get(POD_GROUP_NAME)
        if gated and group:
            total = annotations.get(POD_GROUP_TOTAL_COUNT_ANNOTATION, "all")
            return (
                f"Pod {namespace}/{name} waits for its group {group}: none of it starts before {total} Pods are made that name this group"
            )
        if gated:
            return f"Pod {namespace}/{name} is held but has no Workload yet: is `raysail operator` running (raysail status)?"
        return f"{resource.kind} {namespace}/{name} is in no queue: it starts without waiting"
    return None


def lines(answer: Why, now: float) -> list[str]:
    """The answer as text."""
    found = [f"{answer.job} {answer.summary}", ""]
    where = f"queue {answer.local_queue}, ClusterQueue {answer.cluster_queue}" if answer.cluster_queue else f"queue {answer.local_queue}"
    found.append(f"  state      {answer.state}{' for ' + human_duration(now - answer.since) if answer.since else ''} in {where}")
    if answer.position:
        found.append(f"  position   {answer.position} of {answer.waiting}")
    found += [f"  missing    {m.needed} {m.resource} needed in flavor {m.flavor}: {m.free} free, {m.most} at most" for m in answer.missing]
    for holder in answer.holders:
        amounts = ", ".join(f"{amount} {resource}" for resource, amount in holder.amounts.items())
        traits = [f"priority {holder.priority}", *(["borrowed"] if holder.borrowed else []), *(["stopping"] if holder.leaving else [])]
        since = f" since {datetime.fromtimestamp(holder.since, UTC):%H:%M:%S} UTC" if holder.since else ""
        found.append(f"  held by    {holder.job}: {amounts}{since} ({', '.join(traits)}, ClusterQueue {holder.cluster_queue})")
    found += [f"  ahead      {a.job} (priority {a.priority})" for a in answer.ahead]
    for tried in answer.tried:
        reasons = f": {'; '.join(tried.reasons)}" if tried.reasons else ""
        found.append(f"  tried      {tried.pod_set} in flavor {tried.flavor}: {tried.outcome}{reasons}")
    found += [f"  would help {h.text}" for h in answer.helps]
    if answer.never and not answer.helps:
        found.append("  would help nothing that is set up here can hold it")
    return found

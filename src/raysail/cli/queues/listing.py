"""`raysail list clusterqueue | localqueue | resourceflavor | workload | pods`; `raysail list` alone is `raysail.cli.jobs`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import click

from raysail.api.errors import StatusError, is_not_found
from raysail.api.resources import CLUSTER_QUEUES, LOCAL_QUEUES, PODS, RESOURCE_FLAVORS, WORKLOADS, Resource
from raysail.cli.connection import Api
from raysail.cli.jobs import list_jobs
from raysail.cli.kinds import Kinds
from raysail.cli.objects import all_namespaces_option, namespace_option, print_kind, selector_option
from raysail.cli.output import age, table
from raysail.cli.queues.grammar import (
    CLUSTER_QUEUE,
    LOCAL_QUEUE,
    POD,
    RESOURCE_FLAVOR,
    WORKLOAD,
    KindGroup,
    cluster_queue_option,
    complete,
    output_option,
    print_object,
)
from raysail.cli.queues.pod_selectors import pods_of
from raysail.cli.queues.workload_rows import COLUMNS, STATUSES, cluster_queue_of, row, status_of

JOB_UID_LABEL = "kueue.x-k8s.io/job-uid"
field_selector_option = click.option("--field-selector", default="", help="Field selector, such as metadata.name=x.")
Json = dict[str, Any]


@click.command(cls=KindGroup, otherwise=list_jobs)
def list_() -> None:
    """My jobs; or queues, flavors, Workloads, a job's Pods."""


def _found(api: Api, resource: Resource, namespace: str | None, selector: str, field_selector: str) -> list[Json]:
    params = {key: value for key, value in (("labelSelector", selector), ("fieldSelector", field_selector)) if value}
    found: list[Json] = api.list(resource, namespace, **params)
    return found


def _show(
    resource: Resource,
    items: Sequence[Json],
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    output: str | None,
    namespace: str | None,
) -> None:
    """A table; or the objects in another form. `namespace`: where was looked, None for everywhere."""
    if output == "name":
        for item in items:
            click.echo(f"{resource.kind.lower()}.{resource.group}/{item['metadata']['name']}")
    elif output is not None:
        print_object({"apiVersion": "v1", "kind": "List", "items": list(items)}, output)
    elif not items:
        where = f" in {namespace} namespace." if namespace and resource.namespaced else ""
        click.echo(f"No resources found{where}", err=True)
    else:
        across = resource.namespaced and namespace is None
        lines = [[item["metadata"]["namespace"], *cells] if across else cells for item, cells in zip(items, rows, strict=True)]
        texts = [["" if cell is None else str(cell) for cell in line] for line in lines]
        click.echo(table((["NAMESPACE"] if across else []) + list(columns), texts, blank=""))


def _is_active(queue: Json) -> bool:
    return any(c["type"] == "Active" and c["status"] == "True" for c in (queue.get("status") or {}).get("conditions") or ())


def _counts(queue: Json) -> tuple[int, int]:
    status = queue.get("status") or {}
    return status.get("pendingWorkloads", 0), status.get("admittedWorkloads", 0)


@click.command()
@selector_option
@field_selector_option
@click.option("--active", type=click.Choice(["true", "false"]), multiple=True, help="Only those that are active, or are not.")
@output_option
def list_cluster_queues(selector: str, field_selector: str, active: tuple[str, ...], output: str | None) -> None:
    """List ClusterQueues."""
    if len(active) > 1:
        raise click.UsageError("only one active flag can be provided")
    queues = _found(Api(), CLUSTER_QUEUES, None, selector, field_selector)
    queues = [queue for queue in queues if not active or _is_active(queue) == (active[0] == "true")]
    rows = (
        [
            queue["metadata"]["name"],
            queue["spec"].get("cohortName", ""),
            *_counts(queue),
            str(_is_active(queue)).lower(),
            age(queue["metadata"]["creationTimestamp"]),
        ]
        for queue in queues
    )
    _show(CLUSTER_QUEUES, queues, ["NAME", "COHORT", "PENDING WORKLOADS", "ADMITTED WORKLOADS", "ACTIVE", "AGE"], rows, output, None)


@click.command()
@namespace_option
@all_namespaces_option
@selector_option
@field_selector_option
@cluster_queue_option("Only those that lead there.")
@output_option
def list_local_queues(
    namespace: str, all_namespaces: bool, selector: str, field_selector: str, clusterqueue: str, output: str | None
) -> None:
    """List LocalQueues."""
    scope = None if all_namespaces else namespace
    queues = _found(Api(), LOCAL_QUEUES, scope, selector, field_selector)
    queues = [queue for queue in queues if not clusterqueue or queue["spec"].get("clusterQueue") == clusterqueue]
    rows = (
        [queue["metadata"]["name"], queue["spec"].get("clusterQueue", ""), *_counts(queue), age(queue["metadata"]["creationTimestamp"])]
        for queue in queues
    )
    _show(LOCAL_QUEUES, queues, ["NAME", "CLUSTERQUEUE", "PENDING WORKLOADS", "ADMITTED WORKLOADS", "AGE"], rows, output, scope)


@click.command()
@selector_option
@field_selector_option
@output_option
def list_resource_flavors(selector: str, field_selector: str, output: str | None) -> None:
    """List ResourceFlavors."""
    flavors = _found(Api(), RESOURCE_FLAVORS, None, selector, field_selector)
    rows = (
        [
            flavor["metadata"]["name"],
            ", ".join(sorted(f"{key}={value}" for key, value in ((flavor.get("spec") or {}).get("nodeLabels") or {}).items())),
            age(flavor["metadata"]["creationTimestamp"]),
        ]
        for flavor in flavors
    )
    _show(RESOURCE_FLAVORS, flavors, ["NAME", "NODE LABELS", "AGE"], rows, output, None)


@click.command()
@namespace_option
@all_namespaces_option
@selector_option
@field_selector_option
@cluster_queue_option("Only those of this ClusterQueue.")
@click.option(
    "-q",
    "--localqueue",
    default="",
    help="Only those of this LocalQueue.",
    shell_complete=lambda ctx, param, start: complete(LOCAL_QUEUES, ctx, start),
)
@click.option("--status", "statuses", type=click.Choice(STATUSES, case_sensitive=False), multiple=True, help="Only those in this state.")
@click.option("--for", "for_object", default="", help="Only those of this job: TYPE[.GROUP]/NAME.")
@output_option
def list_workloads(
    namespace: str,
    all_namespaces: bool,
    selector: str,
    field_selector: str,
    clusterqueue: str,
    localqueue: str,
    statuses: tuple[str, ...],
    for_object: str,
    output: str | None,
) -> None:
    """List Workloads: what stands for a job in the queue, with its place there."""
    api = Api()
    scope = None if all_namespaces else namespace
    workloads = _found(api, WORKLOADS, scope, selector, field_selector)
    if for_object:
        workloads = _of_job(workloads, {job["metadata"]["uid"] for _, job in _jobs(api, for_object, scope)})
    if localqueue:
        workloads = [workload for workload in workloads if workload["spec"].get("queueName") == localqueue]
    leads_to = {
        (queue["metadata"]["namespace"], queue["metadata"]["name"]): queue["spec"].get("clusterQueue", "")
        for queue in api.list(LOCAL_QUEUES, scope)
    }
    if clusterqueue:
        workloads = [workload for workload in workloads if cluster_queue_of(workload, leads_to) == clusterqueue]
    if statuses and "all" not in statuses:
        workloads = [workload for workload in workloads if status_of(workload) in statuses]
    rows: list[list[object]] = []
    if output is None:
        now = datetime.now(UTC)
        places, words = _positions(api, workloads), _words(api, workloads)
        rows = [row(workload, leads_to, places, words, now) for workload in workloads]
    _show(WORKLOADS, workloads, COLUMNS, rows, output, scope)


def _of_job(workloads: Sequence[Json], uids: set[str]) -> list[Json]:
    """By the label that Kueue puts on them; where none has it, by owner."""
    labelled = [w for w in workloads if (w["metadata"].get("labels") or {}).get(JOB_UID_LABEL) in uids]
    return labelled or [w for w in workloads if any(owner["uid"] in uids for owner in w["metadata"].get("ownerReferences") or ())]


def _jobs(api: Api, text: str, scope: str | None) -> list[tuple[Resource, Json]]:
    """The objects that TYPE/NAME names (in several namespaces perhaps). Raises click.UsageError."""
    kind, slash, name = text.partition("/")
    if not slash or "/" in name or not kind or not name:
        raise click.UsageError(f"invalid value '{text}' used in --for flag; value must be in the format TYPE[.API-GROUP]/NAME")
    resource = Kinds(api).find(kind)
    return [(resource, found) for found in api.list(resource, scope, fieldSelector=f"metadata.name={name}")]


def _positions(api: Api, workloads: Sequence[Json]) -> dict[tuple[str, str], int]:
    """Places of those that wait, from the visibility API; none where the controllers do not run."""
    from raysail.api.kueue.visibility import (
        GROUP,
        MOST_WORKLOADS,
        VERSIONS,
    )  # brings all views of Kueue along, which nothing else here needs

    queues = {(w["metadata"]["namespace"], w["spec"].get("queueName", "")) for w in workloads if status_of(w) == "pending"}
    found: dict[tuple[str, str], int] = {}
    for namespace, name in queues:
        path = f"/apis/{GROUP}/{VERSIONS[0]}/namespaces/{quote(namespace)}/localqueues/{quote(name)}/pendingworkloads"
        try:
            summary = api.request("GET", path, params={"limit": str(MOST_WORKLOADS)})
        except StatusError as error:
            if not (is_not_found(error) or error.code >= 500):
                raise
            continue
        for item in summary["items"]:
            found[namespace, item["metadata"]["name"]] = item["positionInLocalQueue"]
    return found


def _words(api: Api, workloads: Sequence[Json]) -> dict[tuple[str, str], str]:
    """The words for the kinds of their jobs, as discovery has them: with a group only where it tells one, as kueuectl prints them."""
    versions = {owner["apiVersion"] for workload in workloads for owner in workload["metadata"].get("ownerReferences") or ()}
    found: dict[tuple[str, str], str] = {}
    for version in sorted(versions):
        try:
            resources = api.request("GET", f"/apis/{version}" if "/" in version else f"/api/{version}")["resources"]
        except StatusError as error:
            if not is_not_found(error):
                raise
            continue
        for each in resources:
            if "/" not in each["name"] and each.get("singularName"):
                group = each.get("group", "")
                found[version, each["kind"]] = f"{each['singularName']}.{group}" if group else each["singularName"]
    return found


@click.command()
@namespace_option
@all_namespaces_option
@selector_option
@field_selector_option
@click.option("--for", "for_object", required=True, help="The job: TYPE[.GROUP]/NAME; of a Pod its whole group.")
@click.option("-o", "--output", type=click.Choice(["table", "wide", "json", "yaml", "name"]), default="table", help="Form of the output.")
def list_pods(namespace: str, all_namespaces: bool, selector: str, field_selector: str, for_object: str, output: str) -> None:
    """List the Pods of a job."""
    api = Api()
    scope = None if all_namespaces else namespace
    jobs = _jobs(api, for_object, scope)
    if not jobs:
        click.echo(f"No resources found in {scope} namespace." if scope else "No resources found.", err=True)
        return
    resource, job = jobs[0]
    label = pods_of(resource, job)
    if label is None:
        raise click.UsageError(f"unsupported kind: {resource.kind}")
    if not label:
        click.echo(f"No resources found in {scope} namespace." if scope else "No resources found.", err=True)
        return
    both = f"{selector},{label}" if selector else label
    print_kind(api, PODS, [], scope, both, output, False, prefix=False, first=True, field_selector=field_selector)


list_.kind(CLUSTER_QUEUE, list_cluster_queues)
list_.kind(LOCAL_QUEUE, list_local_queues)
list_.kind(RESOURCE_FLAVOR, list_resource_flavors)
list_.kind(WORKLOAD, list_workloads)
list_.kind(POD, list_pods)

"""`raysail create clusterqueue | localqueue | resourceflavor`."""

from __future__ import annotations

from typing import Any

import click

from raysail.api.resources import CLUSTER_QUEUES, LOCAL_QUEUES, RESOURCE_FLAVORS, Resource
from raysail.cli.connection import Api
from raysail.cli.objects import namespace_option
from raysail.cli.queues.grammar import (
    CLUSTER_QUEUE,
    LOCAL_QUEUE,
    RESOURCE_FLAVOR,
    KindGroup,
    cluster_queue_option,
    dry_run_option,
    output_option,
    show_change,
)
from raysail.cli.queues.quotas import QuotaSpecError, resource_groups
from raysail.cli.queues.taints import TaintSpecError, pairs, taints, tolerations

_POLICIES = ("Never", "LowerPriority", "LowerOrNewerEqualPriority")


@click.command(cls=KindGroup)
def create() -> None:
    """Create a ClusterQueue, LocalQueue or ResourceFlavor from flags (anything else: raysail apply -f)."""


def _create(resource: Resource, obj: dict[str, Any], namespace: str | None, output: str | None, dry_run: str) -> None:
    obj = {"apiVersion": resource.api_version, "kind": resource.kind, **obj}
    if dry_run != "client":
        obj = Api().create(resource, obj, namespace, dry_run=dry_run == "server")
    show_change(obj, resource, "created", output, dry_run)


@click.command()
@click.argument("name")
@click.option("--cohort", default="", help="Cohort it belongs to.")
@click.option(
    "--queuing-strategy", type=click.Choice(["BestEffortFIFO", "StrictFIFO"]), default="BestEffortFIFO", help="Order of its workloads."
)
@click.option("--namespace-selector", multiple=True, help="Labels of namespaces that may submit, KEY=VALUE,... (default: all).")
@click.option(
    "--reclaim-within-cohort",
    type=click.Choice(["Never", "LowerPriority", "Any"]),
    default="Never",
    help="Whom it may preempt to get its own back.",
)
@click.option(
    "--preemption-within-cluster-queue", type=click.Choice(_POLICIES), default="Never", help="Whom its workloads may preempt in it."
)
@click.option("--nominal-quota", multiple=True, help='Quota: "alpha:cpu=9;memory=36Gi,beta:cpu=18;memory=72Gi".')
@click.option("--borrowing-limit", multiple=True, help="How much it may borrow, written as the quota is.")
@click.option("--lending-limit", multiple=True, help="How much it may lend, written as the quota is.")
@dry_run_option
@output_option
def cluster_queue(
    name: str,
    cohort: str,
    queuing_strategy: str,
    namespace_selector: tuple[str, ...],
    reclaim_within_cohort: str,
    preemption_within_cluster_queue: str,
    nominal_quota: tuple[str, ...],
    borrowing_limit: tuple[str, ...],
    lending_limit: tuple[str, ...],
    dry_run: str,
    output: str | None,
) -> None:
    """Create a ClusterQueue.

    \b
      raysail create clusterqueue team-a --cohort all --nominal-quota "default:cpu=9;memory=36Gi"
    """  # noqa: D301 - click wants the character
    said = {"nominal-quota": nominal_quota, "borrowing-limit": borrowing_limit, "lending-limit": lending_limit}
    try:
        groups, labels = resource_groups(said), pairs(namespace_selector, "namespace-selector")
    except (QuotaSpecError, TaintSpecError) as error:
        raise click.UsageError(str(error)) from error
    spec: dict[str, Any] = {
        "queueingStrategy": queuing_strategy,
        "namespaceSelector": {"matchLabels": labels} if labels else {},
        "preemption": {"reclaimWithinCohort": reclaim_within_cohort, "withinClusterQueue": preemption_within_cluster_queue},
    }
    spec |= {"cohortName": cohort} if cohort else {}
    spec |= {"resourceGroups": groups} if groups else {}
    _create(CLUSTER_QUEUES, {"metadata": {"name": name}, "spec": spec}, None, output, dry_run)


@click.command()
@click.argument("name")
@cluster_queue_option("ClusterQueue behind it.", required=True)
@click.option("-i", "--ignore-unknown-cq", is_flag=True, help="The ClusterQueue may come later.")
@namespace_option
@dry_run_option
@output_option
def local_queue(name: str, clusterqueue: str, ignore_unknown_cq: bool, namespace: str, dry_run: str, output: str | None) -> None:
    """Create a LocalQueue.

    \b
      raysail create localqueue mine -c team-a
    """  # noqa: D301 - click wants the character
    if not ignore_unknown_cq:
        Api().get(CLUSTER_QUEUES, clusterqueue)
    obj = {"metadata": {"name": name, "namespace": namespace}, "spec": {"clusterQueue": clusterqueue}}
    _create(LOCAL_QUEUES, obj, namespace, output, dry_run)


@click.command()
@click.argument("name")
@click.option("--node-labels", multiple=True, help="Labels of its nodes, KEY=VALUE,...")
@click.option("--node-taints", multiple=True, help="Taints of its nodes, KEY[=VALUE]:EFFECT,...")
@click.option("--tolerations", "tolerated", multiple=True, help="Tolerations its Pods get, KEY[=VALUE][:EFFECT] or :EFFECT, ...")
@dry_run_option
@output_option
def resource_flavor(
    name: str, node_labels: tuple[str, ...], node_taints: tuple[str, ...], tolerated: tuple[str, ...], dry_run: str, output: str | None
) -> None:
    """Create a ResourceFlavor.

    \b
      raysail create resourceflavor arm --node-labels kubernetes.io/arch=arm64 --node-taints arm=true:NoSchedule
    """  # noqa: D301 - click wants the character
    try:
        said = {"nodeLabels": pairs(node_labels, "node-labels"), "nodeTaints": taints(node_taints), "tolerations": tolerations(tolerated)}
    except TaintSpecError as error:
        raise click.UsageError(str(error)) from error
    spec = {key: value for key, value in said.items() if value}
    _create(RESOURCE_FLAVORS, {"metadata": {"name": name}, "spec": spec}, None, output, dry_run)


create.kind(CLUSTER_QUEUE, cluster_queue)
create.kind(LOCAL_QUEUE, local_queue)
create.kind(RESOURCE_FLAVOR, resource_flavor)

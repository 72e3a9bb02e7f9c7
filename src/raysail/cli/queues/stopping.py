"""`raysail stop | resume clusterqueue | localqueue | workload`; `raysail stop JOB` is `raysail.cli.jobs`."""

from __future__ import annotations

from typing import Any

import click

from raysail.api.resources import CLUSTER_QUEUES, LOCAL_QUEUES, WORKLOADS, Resource
from raysail.cli.connection import Api
from raysail.cli.jobs import stop as stop_job
from raysail.cli.objects import namespace_option
from raysail.cli.queues.grammar import (
    CLUSTER_QUEUE,
    LOCAL_QUEUE,
    WORKLOAD,
    KindGroup,
    dry_run_option,
    name_argument,
    output_option,
    show_change,
)


@click.command(cls=KindGroup, otherwise=stop_job)
def stop() -> None:
    """Stop a job (NAME); or hold a queue or a Workload."""


@click.command(cls=KindGroup)
def resume() -> None:
    """Let a held queue or a stopped Workload go on."""


def _change(
    resource: Resource, name: str, namespace: str | None, spec: dict[str, Any], done: str, output: str | None, dry_run: str
) -> None:
    api = Api()
    if dry_run == "client":
        changed = api.get(resource, name, namespace)
        changed["spec"] = {**changed.get("spec", {}), **spec}
    else:
        changed = api.merge(resource.path(namespace, name), {"spec": spec}, dry_run=dry_run == "server")
    show_change(changed, resource, done, output, dry_run)


keep_option = click.option("--keep-already-running", is_flag=True, help="What is admitted goes on (Hold, not HoldAndDrain).")


def _stop_policy(*, keep: bool) -> dict[str, str]:
    return {"stopPolicy": "Hold" if keep else "HoldAndDrain"}


@click.command()
@name_argument(CLUSTER_QUEUES)
@keep_option
@dry_run_option
@output_option
def stop_cluster_queue(name: str, keep_already_running: bool, dry_run: str, output: str | None) -> None:
    """Hold a ClusterQueue: nothing more is admitted, and what runs is put back into the queue."""
    _change(CLUSTER_QUEUES, name, None, _stop_policy(keep=keep_already_running), "stopped", output, dry_run)


@click.command()
@name_argument(LOCAL_QUEUES)
@keep_option
@namespace_option
@dry_run_option
@output_option
def stop_local_queue(name: str, keep_already_running: bool, namespace: str, dry_run: str, output: str | None) -> None:
    """Hold a LocalQueue: nothing more is admitted, and what runs is put back into the queue."""
    _change(LOCAL_QUEUES, name, namespace, _stop_policy(keep=keep_already_running), "stopped", output, dry_run)


@click.command()
@name_argument(WORKLOADS)
@namespace_option
@dry_run_option
@output_option
def stop_workload(name: str, namespace: str, dry_run: str, output: str | None) -> None:
    """Hold a Workload: it is not admitted, and stopped where it runs, until it is resumed."""
    _change(WORKLOADS, name, namespace, {"active": False}, "stopped", output, dry_run)


@click.command()
@name_argument(CLUSTER_QUEUES)
@dry_run_option
@output_option
def resume_cluster_queue(name: str, dry_run: str, output: str | None) -> None:
    """Let a held ClusterQueue admit again."""
    _change(CLUSTER_QUEUES, name, None, {"stopPolicy": "None"}, "resumed", output, dry_run)


@click.command()
@name_argument(LOCAL_QUEUES)
@namespace_option
@dry_run_option
@output_option
def resume_local_queue(name: str, namespace: str, dry_run: str, output: str | None) -> None:
    """Let a held LocalQueue admit again."""
    _change(LOCAL_QUEUES, name, namespace, {"stopPolicy": "None"}, "resumed", output, dry_run)


@click.command()
@name_argument(WORKLOADS)
@namespace_option
@dry_run_option
@output_option
def resume_workload(name: str, namespace: str, dry_run: str, output: str | None) -> None:
    """Let a stopped Workload wait for admission again."""
    _change(WORKLOADS, name, namespace, {"active": True}, "resumed", output, dry_run)


stop.kind(CLUSTER_QUEUE, stop_cluster_queue)
stop.kind(LOCAL_QUEUE, stop_local_queue)
stop.kind(WORKLOAD, stop_workload)
resume.kind(CLUSTER_QUEUE, resume_cluster_queue)
resume.kind(LOCAL_QUEUE, resume_local_queue)
resume.kind(WORKLOAD, resume_workload)

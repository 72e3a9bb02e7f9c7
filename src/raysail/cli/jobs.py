"""`raysail list` and `raysail stop`."""

from __future__ import annotations

import click

from raysail.api.errors import StatusError, is_not_found
from raysail.api.resources import CLUSTER_QUEUES, LOCAL_QUEUES, RAY_JOBS
from raysail.cli.connection import Api
from raysail.cli.objects import all_namespaces_option, namespace_option
from raysail.cli.output import age, table
from raysail.cli.phase import phase
from raysail.sdk.submission import PRIORITY_LABEL, QUEUE_LABEL


@click.command("list")
@namespace_option
@all_namespaces_option
def list_jobs(namespace: str, all_namespaces: bool) -> None:
    """My jobs, newest first."""
    jobs = Api().list(RAY_JOBS, None if all_namespaces else namespace)
    jobs.sort(key=lambda job: (job["metadata"]["creationTimestamp"], job["metadata"]["name"]), reverse=True)
    if not jobs:
        click.echo("No jobs yet: raysail submit -- python x.py", err=True)
        return
    rows = []
    for job in jobs:
        metadata, status = job["metadata"], job.get("status") or {}
        labels = metadata.get("labels") or {}
        row = [
            metadata["name"],
            phase(job),
            labels.get(QUEUE_LABEL),
            labels.get(PRIORITY_LABEL),
            status.get("rayClusterName"),
            age(metadata["creationTimestamp"]),
        ]
        rows.append([metadata["namespace"], *row] if all_namespaces else row)
    click.echo(table((["NAMESPACE"] if all_namespaces else []) + ["NAME", "STATUS", "QUEUE", "PRIORITY", "CLUSTER", "AGE"], rows))


@click.command()
@click.argument("name")
@namespace_option
@click.option("--drain", is_flag=True, help="A queue: end what runs in it, too.")
def stop(name: str, namespace: str, drain: bool) -> None:
    """Stop a job (NAME), or hold a queue (localqueue/NAME, clusterqueue/NAME): what waits in it stays waiting.

    A stopped job is deleted with its cluster; its log is kept. A held queue goes on with `raysail resume`.
    """
    api = Api()
    kind, slash, bare = name.partition("/")
    policy = "HoldAndDrain" if drain else "Hold"
    if slash and kind in ("lq", "localqueue", "queue"):
        api.merge(LOCAL_QUEUES.path(namespace, bare), {"spec": {"stopPolicy": policy}})
        click.echo(f"localqueue.kueue.x-k8s.io/{bare} held ({policy})")
        return
    if slash and kind in ("cq", "clusterqueue"):
        api.merge(CLUSTER_QUEUES.path(None, bare), {"spec": {"stopPolicy": policy}})
        click.echo(f"clusterqueue.kueue.x-k8s.io/{bare} held ({policy})")
        return
    job = bare if slash else name
    try:
        api.delete(RAY_JOBS.path(namespace, job), "Background")
    except StatusError as error:
        if is_not_found(error):
            raise click.UsageError(f"no job called {job} in namespace {namespace}: see `raysail list`") from error
        raise
    click.echo(f'rayjob.ray.io "{job}" stopped; its log: raysail logs {job}')

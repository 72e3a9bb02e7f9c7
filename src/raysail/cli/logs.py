"""`raysail logs`: a job's driver output (live, or kept after its cluster is gone), or a Pod's container log."""

from __future__ import annotations

import asyncio
import sys
import time

import click

from raysail.api.errors import StatusError, is_not_found
from raysail.api.resources import PODS, RAY_JOBS
from raysail.cli.connection import Api
from raysail.cli.driver_log import kept_log
from raysail.cli.following import Follower, outcome
from raysail.cli.objects import namespace_option


@click.command()
@click.argument("name")
@namespace_option
@click.option("-f", "--follow", is_flag=True, help="Go on until the end; Ctrl-C detaches.")
@click.option("-c", "--container", default="", help="Container of a Pod.")
@click.option("--tail", "lines", type=int, default=-1, help="Last lines of a Pod's log only.")
@click.option("--since", default="", help="A Pod's log of the last 5s, 2m or 3h only.")
@click.option("-p", "--previous", is_flag=True, help="The Pod's container before its last restart.")
@click.option("--timestamps", is_flag=True, help="A time before each line of a Pod's log.")
def logs(name: str, namespace: str, follow: bool, container: str, lines: int, since: str, previous: bool, timestamps: bool) -> None:
    """A job's output (NAME), or a Pod's (pod/NAME). A job's is kept when its cluster, and even the job itself, is gone."""
    api = Api()
    kind, slash, bare = name.partition("/")
    if slash and kind in ("pod", "pods", "po"):
        _pod_log(api, namespace, bare, follow, container, lines, since, previous, timestamps)
        return
    job_name = bare if slash else name
    try:
        job = api.get(RAY_JOBS, job_name, namespace)
    except StatusError as error:
        if not is_not_found(error):
            raise
        file = kept_log(api.home, namespace, job_name)
        if file is not None:
            click.echo(file.read_text(errors="replace"), nl=False)
            return
        _pod_log(api, namespace, job_name, follow, container, lines, since, previous, timestamps)
        return
    if follow and outcome(job) is None:
        from raysail.cli.submit import follow as follow_job

        sys.exit(follow_job(api, namespace, job_name, time.monotonic()))
    file = kept_log(api.home, namespace, job_name, (job.get("status") or {}).get("jobId", ""))
    if file is not None:
        click.echo(file.read_text(errors="replace"), nl=False)
        return
    asyncio.run(Follower(api, namespace, job_name, lambda text: click.echo(text, err=True)).run(wait=False))


def _pod_log(
    api: Api, namespace: str, name: str, follow: bool, container: str, lines: int, since: str, previous: bool, timestamps: bool
) -> None:
    params = {"container": container} if container else {}
    if lines >= 0:
        params["tailLines"] = str(lines)
    if since:
        params["sinceSeconds"] = str(_seconds(since))
    params |= {key: "true" for key, wanted in (("follow", follow), ("previous", previous), ("timestamps", timestamps)) if wanted}
    for line in api.stream(PODS.path(namespace, name, "log"), params):
        sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()


def _seconds(text: str) -> int:
    unit = {"s": 1, "m": 60, "h": 3600}.get(text[-1:])
    if unit is None or not text[:-1].isdigit():
        raise click.UsageError(f"--since {text}: give a number with s, m or h, such as 90s")
    return int(text[:-1]) * unit

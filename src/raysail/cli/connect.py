"""Local addresses of a Ray cluster's dashboard and client server, with its token added."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
from typing import Any

import click

from raysail.api.errors import StatusError, is_not_found
from raysail.api.resources import RAY_CLUSTERS, RAY_JOBS
from raysail.cli.connection import Api
from raysail.cli.following import job_server
from raysail.cli.objects import namespace_option
from raysail.instance.home import InstanceError

_CLIENT_PORT = 10001


@click.command()
@click.argument("name")
@namespace_option
@click.option("--port", type=click.IntRange(0, 65535), default=8265, show_default=True, help="Local port; 0 picks a free one.")
def dashboard(name: str, namespace: str, port: int) -> None:
    """Serve the Ray dashboard of a RayCluster (or of a RayJob's cluster) on a local address until Ctrl-C. The cluster's token is added to each request."""
    api = Api()
    address, token = _head(api, namespace, name)
    from raysail.web.dashboard_proxy import serve

    def ready(url: str) -> None:
        click.echo(f"Ray dashboard of {name}: {url}   (Ctrl-C ends)")

    try:
        asyncio.run(serve(address, token, port, ready))
    except OSError as error:
        raise InstanceError(f"port {port} is taken ({error.strerror}): choose another with --port, or 0 for a free one") from error
    except KeyboardInterrupt:
        click.echo("", err=True)


@click.command(context_settings={"allow_interspersed_args": False})
@click.argument("name")
@namespace_option
@click.argument("command", nargs=-1)
def connect(name: str, namespace: str, command: tuple[str, ...]) -> None:
    """What a driver outside the cluster needs: eval "$(raysail connect NAME)", or raysail connect NAME -- python x.py

    Sets RAY_ADDRESS to the cluster's client server (ray://...), so that a plain ray.init() connects, and the token where the cluster asks for one.
    """
    address, token = _head(Api(), namespace, name)
    host = address.removeprefix("http://").partition(":")[0]
    environment = {"RAY_ADDRESS": f"ray://{host}:{_CLIENT_PORT}"}
    environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token} if token else {"RAY_AUTH_MODE": "disabled"}
    if command[:1] == ("--",):  # click leaves it in where it comes after NAME
        command = command[1:]
    if not command:
        for key, value in environment.items():
            click.echo(f"export {key}={shlex.quote(value)}")
        return
    program = shutil.which(command[0])
    if program is None:
        raise click.UsageError(f"{command[0]} is not on the PATH")
    os.execve(program, list(command), os.environ | environment)  # noqa: S606 - becoming the program is what was asked for


def _head(api: Api, namespace: str, name: str) -> tuple[str, str]:
    cluster = name
    try:
        api.get(RAY_CLUSTERS, name, namespace)
    except StatusError as error:
        if not is_not_found(error):
            raise
        cluster = _cluster_of_job(api, namespace, name)
    found = job_server(api, namespace, cluster)
    if found is None:
        raise InstanceError(
            f"the head of cluster {cluster} has no address yet: see `raysail describe raycluster {cluster}` and `raysail why {name}`"
        )
    return found


def _cluster_of_job(api: Api, namespace: str, name: str) -> str:
    try:
        job: dict[str, Any] = api.get(RAY_JOBS, name, namespace)
    except StatusError as error:
        if is_not_found(error):
            raise InstanceError(
                f"no RayCluster or RayJob called {name} in namespace {namespace}: see `raysail get rayclusters,rayjobs -A`"
            ) from error
        raise
    cluster = (job.get("status") or {}).get("rayClusterName", "")
    if not cluster:
        raise InstanceError(f"the job {name} has no cluster now: see `raysail why {name}`")
    return str(cluster)

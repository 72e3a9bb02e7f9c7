"""`raysail submit -- python x.py`: a RayJob through the queue, its output here, its result as the exit code."""

from __future__ import annotations

import asyncio
import importlib.util
import secrets
import string
import sys
import time
from pathlib import Path
from typing import Any

import click

from raysail.api.errors import StatusError, is_already_exists
from raysail.api.quantity import QuantityError, parse_nano
from raysail.api.resources import RAY_JOBS
from raysail.cli.connection import Api
from raysail.cli.output import yaml_text
from raysail.instance.home import InstanceError
from raysail.sdk.submission import Submission, ray_job


class Amount(click.ParamType[str]):
    """A positive Kubernetes quantity."""

    name = "quantity"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Checks the grammar and the sign; gives the text back."""
        try:
            if parse_nano(value) <= 0:
                self.fail(f"{value} must be greater than zero", param, ctx)
        except QuantityError as error:
            self.fail(str(error), param, ctx)
        return str(value)


AMOUNT = Amount()


@click.command(context_settings={"ignore_unknown_options": False, "allow_interspersed_args": False})
@click.option("-q", "--queue", default="default", show_default=True, help="LocalQueue in the namespace.")
@click.option("--priority", default="", help="WorkloadPriorityClass, such as high or low.")
@click.option("--workers", type=click.IntRange(0), default=0, show_default=True, help="Ray worker nodes beside the head.")
@click.option("--worker-cpus", type=AMOUNT, default="1", show_default=True, help="CPUs of each worker.")
@click.option("--worker-memory", type=AMOUNT, default="2Gi", show_default=True, help="Memory of each worker.")
@click.option("--head-cpus", type=AMOUNT, default="1", show_default=True, help="CPUs of the head, where the program itself runs.")
@click.option("--head-memory", type=AMOUNT, default="2Gi", show_default=True, help="Memory of the head.")
@click.option(
    "--gpus", type=click.IntRange(0), default=0, show_default=True, help="GPUs of each worker; of the head when there are no workers."
)
@click.option("--entrypoint-num-cpus", type=float, default=0, help="CPUs that Ray reserves for the program itself.")
@click.option(
    "--working-dir",
    default=".",
    show_default=True,
    help="Folder shipped to the cluster (up to 500 MiB, git-ignored files stay behind); '' for none.",
)
@click.option(
    "--runtime-env", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="YAML or JSON file with a Ray runtime environment."
)
@click.option("--name", default="", help="Name of the job (default: made from the program's name).")
@click.option("--cluster", default="", help="Run on this RayCluster instead of a cluster of its own (not queued).")
@click.option("--python", default="", help="Python environment of the cluster's Pods (default: this one).")
@click.option("-n", "--namespace", default="default", show_default=True, help="Namespace.")
@click.option(
    "--wait/--no-wait", default=True, show_default=True, help="Print the program's output and exit with its result, or return at once."
)
@click.option("--dry-run", is_flag=True, help="Print the RayJob that would be created; the server checks it, nothing is stored.")
@click.argument("command", nargs=-1, required=True)
def submit(
    queue: str,
    priority: str,
    workers: int,
    worker_cpus: str,
    worker_memory: str,
    head_cpus: str,
    head_memory: str,
    gpus: int,
    entrypoint_num_cpus: float,
    working_dir: str,
    runtime_env: Path | None,
    name: str,
    cluster: str,
    python: str,
    namespace: str,
    wait: bool,
    dry_run: bool,
    command: tuple[str, ...],
) -> None:
    """Run a program as a queued Ray job: raysail submit [OPTIONS] -- python train.py --epochs 3

    The program's output comes to standard output, progress to standard error; the exit code is 0 when the job succeeded. Ctrl-C detaches: the job goes on.
    """
    started = time.monotonic()
    ray_version = _ray_version(python)
    api = Api()
    environment = _runtime_env(runtime_env)
    package = _package(api, working_dir) if working_dir and "working_dir" not in environment else None
    if package is not None and cluster and not dry_run:
        environment["working_dir"] = _upload(api, namespace, cluster, package)
    wanted = Submission(
        name=name or _name_for(command),
        command=command,
        namespace=namespace,
        queue=queue,
        priority=priority,
        head_cpus=head_cpus,
        head_memory=head_memory,
        workers=workers,
        worker_cpus=worker_cpus,
        worker_memory=worker_memory,
        gpus=gpus,
        cluster=cluster,
        entrypoint_cpus=entrypoint_num_cpus,
        runtime_env=environment,
        package=str(package) if package is not None and not cluster else "",
        python=python,
        ray_version=ray_version,
    )
    job = ray_job(wanted)
    try:
        created = api.create(RAY_JOBS, job, namespace, dry_run=dry_run)
    except StatusError as error:
        if is_already_exists(error):
            raise click.UsageError(
                f"a job called {wanted.name} is there already: choose another --name, or `raysail delete rayjob {wanted.name}`"
            ) from error
        raise
    if dry_run:
        if package is not None:
            package.unlink(missing_ok=True)
        created["metadata"].pop("managedFields", None)
        click.echo(yaml_text(created).rstrip())
        return
    target = f"cluster {cluster}" if cluster else f"queue {queue}"
    click.echo(f"rayjob.ray.io/{wanted.name} submitted to {target}", err=True)
    if not wait:
        click.echo(wanted.name)
        return
    sys.exit(follow(api, namespace, wanted.name, started))


def follow(api: Api, namespace: str, name: str, started: float) -> int:
    """Follows a job to its end; the exit code for the shell."""
    from raysail.cli.following import Follower, progress_line

    tell = progress_line(started)
    try:
        done = asyncio.run(Follower(api, namespace, name, tell).run())
    except KeyboardInterrupt:
        where = "" if namespace == "default" else f" -n {namespace}"
        click.echo(
            f"\ndetached; {name} goes on. Come back with `raysail logs -f {name}{where}`, stop it with `raysail stop {name}{where}`",
            err=True,
        )
        return 130
    assert done is not None  # noqa: S101 - without an end the follower does not return
    tell(f"{done.status.lower()}{': ' + done.text if done.text and not done.succeeded else ''}")
    return 0 if done.succeeded else 1


def _name_for(command: tuple[str, ...]) -> str:
    stem = next((Path(word).stem for word in command if word.endswith(".py")), Path(command[0]).stem)
    base = "".join(c if c.isascii() and c.isalnum() else "-" for c in stem.lower()).strip("-")[:30].strip("-") or "job"
    base = base if base[0].isalpha() else f"job-{base}"
    return f"{base}-{''.join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(5))}"


def _ray_version(python: str) -> str:
    if python:
        return ""
    if importlib.util.find_spec("ray") is None:
        raise InstanceError(
            "Ray is not installed in this Python environment: pip install 'raysail[ray]', or name one that has it with --python"
        )
    from importlib.metadata import version

    return version("ray")


def _runtime_env(file: Path | None) -> dict[str, Any]:
    import yaml

    environment = yaml.safe_load(file.read_text()) if file else {}
    if not isinstance(environment, dict):
        raise click.UsageError(f"{file} must hold a mapping such as pip: [...], env_vars: {{...}}")
    return environment


def _package(api: Api, working_dir: str) -> Path:
    from raysail.sdk.packages import PackageError, make_package

    try:
        return make_package(Path(working_dir), api.home.packages)
    except PackageError as error:
        raise click.UsageError(str(error)) from error


def _upload(api: Api, namespace: str, cluster: str, package: Path) -> str:
    """Gives the package to a cluster that is there already; its URI in the cluster."""
    from raysail.cli.following import job_server
    from raysail.sdk.ray_dashboard import upload_package

    found = job_server(api, namespace, cluster)
    if found is None:
        raise InstanceError(f"no cluster called {cluster} with a running head in namespace {namespace}: see `raysail get rayclusters`")
    return asyncio.run(upload_package(*found, package))

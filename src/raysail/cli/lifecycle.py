"""`raysail up`, `down`, `status`, `version`."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path

import click

from raysail import __version__
from raysail.api.errors import StatusError
from raysail.api.resources import PODS, RAY_JOBS
from raysail.cli.connection import Api
from raysail.cli.output import duration_since_start, table
from raysail.instance import addresses, ray_version
from raysail.instance.home import Home, InstanceError, Settings, current
from raysail.instance.processes import Process, read_pid_file, start_detached, wait_until
from raysail.instance.supervisor import COMPONENTS, start_component

_READY_SECONDS = 30.0
_STOP_SECONDS = 60.0


@click.command()
@click.option(
    "--nodes", default=None, help="Present this machine as several nodes: '3x cpu=4,memory=16Gi' (nominal sizes may exceed the real ones)."
)
@click.option(
    "--ray-token/--no-ray-token", "ray_token", default=None, help="Ray's own token authentication in every cluster (default: on)."
)
@click.option("--queue-config", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Kueue Configuration file.")
@click.option("--operator-config", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="KubeRay Configuration file.")
@click.option("--foreground", is_flag=True, help="Stay, and stop everything at Ctrl-C.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing unless something is wrong.")
def up(
    nodes: str | None, ray_token: bool | None, queue_config: Path | None, operator_config: Path | None, foreground: bool, quiet: bool
) -> None:
    """Start raysail on this machine: the API, the controllers and the node agent, with a queue `default` of the machine's size, ready for `submit`.

    Options are remembered: the next `up` starts the same.
    """
    started = time.monotonic()
    if sys.platform != "linux":
        raise InstanceError(
            f"Pods run as Linux processes; on {platform.system()} use raysail as a client of a Kubernetes cluster or of another machine"
        )
    home = current()
    running = read_pid_file(home.run / "supervisor.pid")
    asked = _settings(home.read_settings() if home.settings_file.exists() else Settings(), nodes, ray_token, queue_config, operator_config)
    if running is not None:
        if asked != home.read_settings():
            raise InstanceError(
                f"raysail runs already for {home.path} (pid {running.pid}) with other options: `raysail down` first, then `raysail up` again"
            )
        if not quiet:
            click.echo(f"raysail runs already for {home.path} (pid {running.pid})", err=True)
            _tell(home, Api(home))
        return
    warning = _check_ray()
    home.prepare()
    slot = addresses.claim(home, asked.slot).slot
    settings = replace(asked, slot=slot)
    _check_nodes(settings)
    _check_queue_config(settings)
    home.write_settings(settings)
    first = start_component(home, "apiserver")  # the supervisor adopts it
    try:
        supervisor = _start_supervisor(home)
    except BaseException:
        first.stop(_STOP_SECONDS)
        raise
    try:
        # What takes a moment to find out is found out while the API starts.
        from raysail.cli.starter import create_all, starter_objects

        objects = starter_objects(settings.nodes)
        api = _wait_ready(home, supervisor)
        create_all(api, objects)
    except BaseException:
        supervisor.stop(_STOP_SECONDS)
        raise
    if not quiet:
        click.echo(f"raysail {__version__} is up after {time.monotonic() - started:.1f} s", err=True)
        if warning:
            click.echo(click.style(warning, fg="yellow"), err=True)
        _tell(home, api)
    if foreground:
        _stay(home, supervisor)


def _settings(
    before: Settings, nodes: str | None, ray_token: bool | None, queue_config: Path | None, operator_config: Path | None
) -> Settings:
    return replace(
        before,
        nodes=before.nodes if nodes is None else nodes,
        ray_token_authentication=before.ray_token_authentication if ray_token is None else ray_token,
        queue_config=before.queue_config if queue_config is None else str(queue_config.absolute()),
        operator_config=before.operator_config if operator_config is None else str(operator_config.absolute()),
    )


def _check_ray() -> str:
    found = ray_version.installed()
    if found is None:
        return "Ray is not installed in this Python environment; Ray clusters will not start before you: pip install 'raysail[ray]'"
    return ray_version.check(found)


def _check_nodes(settings: Settings) -> None:
    from raysail.node.settings import NodesError, parse_nodes

    try:
        parse_nodes(settings.nodes)
    except NodesError as error:
        raise click.BadParameter(str(error), param_hint="--nodes") from error


def _check_queue_config(settings: Settings) -> None:
    if not settings.queue_config:
        return
    from raysail.cli.components import queue_admission

    queue_admission(settings)


def _start_supervisor(home: Home) -> Process:
    environment = os.environ | {"RAYSAIL_HOME": str(home.path)}
    command = [sys.executable, "-m", "raysail.instance.supervisor", str(home.path)]
    child = start_detached(command, home.logs / "supervisor.log", environment)
    from raysail.instance.processes import start_time

    return Process(child.pid, start_time(child.pid))


def _wait_ready(home: Home, supervisor: Process) -> Api:
    api = Api(home)

    def ready() -> bool:
        if not supervisor.alive():
            raise InstanceError(f"the supervisor ended; see {home.logs / 'supervisor.log'}")
        try:
            return bool(api.request("GET", "/readyz") == "ok")
        except (InstanceError, StatusError, OSError):
            return False

    if not wait_until(ready, _READY_SECONDS):
        raise InstanceError(f"the API did not become ready within {_READY_SECONDS:.0f} s: {_last_line(home.logs / 'apiserver.log')}")
    return api


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return f"{lines[-1]} (see {log})" if lines else f"see {log}"


def _tell(home: Home, api: Api) -> None:
    settings = home.read_settings()
    click.echo(
        f"  API         {addresses.Addresses(settings.slot).server}\n"
        f"  kubeconfig  {home.kubeconfig}\n"
        f"  state       {home.path}\n"
        "Next:\n"
        "  raysail submit -- python train.py     run a program through the queue\n"
        "  raysail queue                         who runs, who waits, and why\n"
        "  raysail dashboard NAME                the Ray dashboard of a cluster\n"
        "  export KUBECONFIG=$(raysail kubeconfig); kubectl get rayjobs"
    )


def _stay(home: Home, supervisor: Process) -> None:
    click.echo("running in the foreground; Ctrl-C stops", err=True)
    try:
        supervisor.wait(None)
    except KeyboardInterrupt:
        click.echo("stopping", err=True)
        _stop(home, supervisor)


@click.command()
@click.option("--force", is_flag=True, help="Do not ask when jobs run.")
def down(force: bool) -> None:
    """Stop raysail and end its Pods. Objects, logs and volumes are kept; `raysail up` goes on with them."""
    home = current()
    supervisor = read_pid_file(home.run / "supervisor.pid")
    left = [p for name in COMPONENTS if (p := read_pid_file(home.run / f"{name}.pid")) is not None]
    if supervisor is None and not left:
        click.echo(f"raysail is not running for {home.path}", err=True)
        return
    busy = _running_jobs(home)
    if busy and not force:
        if not sys.stdin.isatty():
            raise InstanceError(
                f"{len(busy)} jobs run ({', '.join(busy[:5])}): `raysail down --force` ends them; they start again at the next `raysail up`"
            )
        click.confirm(
            f"{len(busy)} jobs run ({', '.join(busy[:5])}). End their processes now (they start again at the next `raysail up`)?",
            abort=True,
        )
    _stop(home, supervisor)
    click.echo(f"raysail is down; objects, logs and volumes are kept in {home.path}", err=True)


def _running_jobs(home: Home) -> list[str]:
    from raysail.cli.phase import phase

    try:
        return [job["metadata"]["name"] for job in Api(home, 5.0).list(RAY_JOBS) if phase(job) in ("Starting", "Running")]
    except (InstanceError, StatusError, OSError):
        return []  # the API is away: nothing can be asked, and stopping is what was wanted


def _stop(home: Home, supervisor: Process | None) -> None:
    from raysail.node.shutdown import end_all_pods

    if supervisor is not None:
        supervisor.stop(_STOP_SECONDS)
    for name in reversed(COMPONENTS):
        process = read_pid_file(home.run / f"{name}.pid")
        if process is not None:
            process.stop(10.0)
    end_all_pods(home.pods)
    addresses.release(home, home.read_settings().slot)


@click.command()
def status() -> None:
    """What runs, and where. Exits with 3 when something does not."""
    home = current()
    rows = []
    healthy = True
    for name in ("supervisor", *COMPONENTS):
        process = read_pid_file(home.run / f"{name}.pid")
        healthy = healthy and process is not None
        rows.append(
            [
                name,
                "running" if process else "stopped",
                process.pid if process else "",
                duration_since_start(process.pid) if process else "",
                _memory(process),
            ]
        )
    click.echo(table(["PROCESS", "STATE", "PID", "UP", "MEMORY"], rows))
    try:
        api = Api(home, 5.0)
        pods = [p for p in api.list(PODS) if (p.get("status") or {}).get("phase") == "Running"]
        jobs = api.list(RAY_JOBS)
        click.echo(f"\n{len(pods)} Pods running, {len(jobs)} jobs known, state in {home.path}")
    except InstanceError as error:
        healthy = False
        click.echo(f"\n{error}", err=True)
    if not healthy:
        raise click.exceptions.Exit(3)


def _memory(process: Process | None) -> str:
    if process is None:
        return ""
    try:
        text = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
    except OSError:
        return ""
    kibibytes = next((int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")), 0)
    return f"{kibibytes >> 10} MiB"


@click.command()
def version() -> None:
    """Print the versions of raysail, Ray, Python and kubectl."""
    click.echo(f"raysail {__version__}")
    click.echo(f"Ray {ray_version.installed() or 'not installed'}")
    click.echo(f"Python {platform.python_version()}")
    click.echo(f"kubectl {shutil.which('kubectl') or 'not on the PATH'}")

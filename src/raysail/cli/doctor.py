"""`raysail doctor`: what this machine can enforce, and what is lost without it."""

from __future__ import annotations

import platform
import shutil
import sys

import click

from raysail.cli.output import colour_wanted
from raysail.instance import ray_version
from raysail.instance.home import InstanceError, current, secure_runtime_folder


@click.command()
def doctor() -> None:
    """What this machine can enforce for Pods, what is lost without each, and whether Ray and the instance are in order. Exits with 1 when something must be mended."""
    from raysail.node.capabilities import find_capabilities

    broken = False
    _line(True, "platform", f"{platform.system()} {platform.release()}, {platform.machine()}, Python {platform.python_version()}")
    if sys.platform != "linux":
        _line(False, "Pods", "Pods run on Linux only", "raysail is a client here")
        return
    found = ray_version.installed()
    try:
        warning = ray_version.check(found) if found else ""
        _line(
            bool(found) and not warning, "Ray", found or "not installed", warning or "Ray clusters cannot start: pip install 'raysail[ray]'"
        )
    except InstanceError as error:
        broken = True
        _line(False, "Ray", found or "", str(error))
    for capability in find_capabilities().report():
        _line(capability.present, capability.name, capability.detail, capability.lost)
    kubectl = shutil.which("kubectl")
    _line(
        kubectl is not None,
        "kubectl",
        kubectl or "not on the PATH",
        "`raysail kubectl` does not work; get, apply, describe, delete, logs do",
    )
    home = current()
    try:
        secure_runtime_folder()
        _line(True, "state directory", str(home.path))
    except InstanceError as error:
        broken = True
        _line(False, "state directory", str(home.path), str(error))
    if broken:
        raise click.exceptions.Exit(1)


def _line(present: bool, name: str, detail: str, lost: str = "") -> None:
    mark = "ok  " if present else "none"
    if colour_wanted():
        mark = click.style(mark, fg="green" if present else "yellow")
    click.echo(f"{mark}  {name:<22} {detail}")
    if not present and lost:
        click.echo(f"      {'':<22} without it: {lost}")

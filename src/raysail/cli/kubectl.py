"""kubectl with the instance's kubeconfig, and the kubeconfig's path."""

from __future__ import annotations

import os
import shutil

import click

from raysail.instance.home import InstanceError, current


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": [], "allow_interspersed_args": False}
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def kubectl(arguments: tuple[str, ...]) -> None:
    """Run kubectl against this instance; everything after the word goes to it unchanged."""
    program = shutil.which("kubectl")
    if program is None:
        raise InstanceError(
            "kubectl is not on the PATH: install it, or use `raysail get`, `apply`, `describe`, `delete`, `logs`, which need nothing else"
        )
    file = current().kubeconfig
    if not file.exists():
        raise InstanceError(f"{file} is not there yet: start raysail with `raysail up`")
    os.execve(program, [program, *arguments], os.environ | {"KUBECONFIG": str(file)})  # noqa: S606 - becoming kubectl is what was asked for


@click.command()
def kubeconfig() -> None:
    """Print the path of the kubeconfig: export KUBECONFIG=$(raysail kubeconfig)."""
    click.echo(current().kubeconfig)

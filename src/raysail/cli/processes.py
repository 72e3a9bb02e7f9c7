"""Each of the three processes on its own: `raysail apiserver | operator | node`."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import click

from raysail.instance.home import Home, current

_HOME = click.option("--home", type=click.Path(path_type=Path), default=None, help="State directory (default: RAYSAIL_HOME).")


def _collect_rarely() -> None:
    """Loading a program makes much and drops little: a quarter of a start went into looking for what could be dropped."""
    gc.set_threshold(20_000, 50, 100)


def _home(path: Path | None) -> Home:
    return Home(path.absolute()) if path else current()


@click.command()
@_HOME
def apiserver(home: Path | None) -> None:
    """Run the API of the instance in the foreground."""
    _collect_rarely()
    from raysail.cli.components import run_apiserver

    run_apiserver(_home(home))


@click.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def operator(arguments: tuple[str, ...]) -> None:
    """Run the controllers alone, against the instance or any Kubernetes API (--kubeconfig); KubeRay's and Kueue's flags are accepted."""
    _collect_rarely()
    from raysail.cli.components import run_operator

    sys.exit(run_operator(list(arguments)))


@click.command()
@_HOME
def node(home: Path | None) -> None:
    """Run the node agent of the instance in the foreground."""
    _collect_rarely()
    from raysail.cli.components import run_node

    run_node(_home(home))

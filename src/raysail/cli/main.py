"""The `raysail` command: a click group that imports a command's module only when that command runs.

Starting must take under 150 ms, so nothing here imports more than click; `bench/cli.py` measures it.
"""

from __future__ import annotations

import importlib
import sys
from typing import Final

import click

from raysail import __version__

COMMANDS: Final[dict[str, tuple[str, str, str]]] = {
    # name: (module, attribute, help line)
    "up": ("lifecycle", "up", "Start raysail on this machine."),
    "down": ("lifecycle", "down", "Stop it; objects and logs are kept."),
    "status": ("lifecycle", "status", "What runs, and where."),
    "doctor": ("doctor", "doctor", "What this machine can enforce, and what is lost without it."),
    "submit": ("submit", "submit", "Run a program as a queued Ray job."),
    "list": ("queues.listing", "list_", "My jobs; or queues, flavors, Workloads, a job's Pods."),
    "stop": ("queues.stopping", "stop", "Stop a job; or hold a queue or a Workload."),
    "resume": ("queues.stopping", "resume", "Let a held queue or a stopped Workload go on."),
    "logs": ("logs", "logs", "A job's or Pod's output, also after its cluster is gone."),
    "queue": ("queue", "queue", "Pending and running, in order."),
    "why": ("queue", "why", "Why a job is pending, and what would help."),
    "dashboard": ("connect", "dashboard", "A local address for a cluster's Ray dashboard."),
    "connect": ("connect", "connect", "A local address for ray.init('ray://...')."),
    "create": ("queues.creating", "create", "Create a ClusterQueue, LocalQueue or ResourceFlavor."),
    "apply": ("objects", "apply", "Create or change objects from YAML."),
    "get": ("objects", "get", "Show objects."),
    "describe": ("objects", "describe", "Show objects in detail, with their events."),
    "delete": ("queues.deleting", "delete", "Delete objects; a Workload goes with its job."),
    "events": ("objects", "events", "What happened lately."),
    "kubectl": ("kubectl", "kubectl", "Run kubectl against this instance."),
    "kubeconfig": ("kubectl", "kubeconfig", "Print the path of the kubeconfig."),
    "apiserver": ("processes", "apiserver", "Run the API process alone."),
    "operator": ("processes", "operator", "Run the controllers alone, against any Kubernetes API."),
    "node": ("processes", "node", "Run the node agent alone."),
    "completion": ("completion", "completion", "Print the completion script of a shell."),
    "version": ("lifecycle", "version", "Print the version."),
}


class LazyGroup(click.Group):
    """Knows the names of all commands; loads one when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order of the table: from a user's first day to an operator's."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported on demand."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command: click.Command = getattr(importlib.import_module(f"raysail.cli.{entry[0]}"), entry[1])
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Help without importing every module."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in COMMANDS.items()])

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Adds the nearest names to the error for an unknown command."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            near = difflib.get_close_matches(args[0], COMMANDS, 3)
            if not near:
                raise
            raise click.UsageError(f"{error.message} Did you mean {' or '.join(near)}?", error.ctx) from None


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, message="raysail %(version)s")
def cli() -> None:
    """The control plane for Ray: queue it, run it, see it.

    \b
      raysail up                          start on this machine
      raysail submit -- python train.py   run a program, queued
      raysail queue                       who runs, who waits
      raysail why NAME                    why it waits

    RAYSAIL_HOME names the state directory (default ~/.raysail); several instances may run side by side.
    Completion: eval "$(raysail completion bash)" (or zsh, fish).
    """  # noqa: D301 - click wants the character


def main() -> None:
    """Entry point: errors that the user can mend are told in a line, without a traceback."""
    from raysail.api.errors import StatusError
    from raysail.instance.home import InstanceError

    try:
        # Outside of its standalone mode click gives back the code of an Exit.
        code = cli.main(prog_name="raysail", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.Abort:
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except InstanceError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
    except StatusError as error:
        click.echo(f"Error from server ({error.reason}): {error.message}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)

"""What all commands of this package share: kinds as words of a command, dry runs, forms of output, completion of names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from raysail.api.errors import StatusError
from raysail.api.resources import CLUSTER_QUEUES, Resource
from raysail.cli.connection import Api
from raysail.cli.output import json_text, yaml_text
from raysail.instance.home import InstanceError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

F = TypeVar("F", bound=Callable[..., Any])

CLUSTER_QUEUE: Final = ("clusterqueue", "cq", "clusterqueues")
LOCAL_QUEUE: Final = ("localqueue", "lq", "localqueues")
RESOURCE_FLAVOR: Final = ("resourceflavor", "rf", "resourceflavors")
WORKLOAD: Final = ("workload", "wl", "workloads", "kwl", "kueueworkload", "kueueworkloads")
POD: Final = ("pods", "po", "pod")
"""The word of each kind, and what else it may be called."""

DRY_RUNS: Final = ("none", "server", "client")
_PLAIN: Final = "plain"


class KindGroup(click.Group):
    """A command whose first word is a kind; anything else goes to `otherwise`, where there is one."""

    def __init__(self, *arguments: Any, otherwise: click.Command | None = None, **options: Any) -> None:
        """The help of `otherwise` stands beside the kinds'."""
        super().__init__(*arguments, **options)
        self.aliases: dict[str, str] = {}
        self.otherwise = otherwise
        if otherwise is not None:
            self.params = []
            self.no_args_is_help = False

    def kind(self, names: Sequence[str], command: click.Command) -> None:
        """Adds the command of a kind under its word and all its short forms."""
        self.add_command(command, names[0])
        self.aliases.update(dict.fromkeys(names, names[0]))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that kind; or the other one under its own name."""
        if self.otherwise is not None and cmd_name == _PLAIN:
            return self.otherwise
        return super().get_command(ctx, self.aliases.get(cmd_name, cmd_name))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Where the first word is no kind, everything belongs to the other command."""
        asked_by_shell = ctx.resilient_parsing and not args  # it wants to know what may come here
        if self.otherwise is not None and not asked_by_shell and not (args and (args[0] in self.aliases or args[0] in ("-h", "--help"))):
            args = [_PLAIN, *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Kinds, and the options of the other command."""
        found = super().shell_complete(ctx, incomplete)
        return found + (self.otherwise.shell_complete(ctx, incomplete) if self.otherwise is not None else [])

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The kinds, and what is meant without one."""
        super().format_options(ctx, formatter)
        if self.otherwise is not None:
            with formatter.section("Without a kind"):
                formatter.write_text((self.otherwise.help or "").split("\n")[0])
                formatter.write_dl([record for p in self.otherwise.get_params(ctx) if (record := p.get_help_record(ctx)) is not None])


def dry_run_option(command: F) -> F:
    """`--dry-run none|server|client`, as kubectl has it."""
    return click.option(
        "--dry-run",
        type=click.Choice(DRY_RUNS),
        default="none",
        show_default=True,
        help="client: only show what would be sent. server: let the server check it, store nothing.",
    )(command)


def output_option(command: F) -> F:
    """`-o json|yaml|name`; without it what kubectl says after a change, or a table."""
    return click.option("-o", "--output", type=click.Choice(["json", "yaml", "name"]), default=None, help="Form of the output.")(command)


def name_argument(resource: Resource) -> Callable[[F], F]:
    """The NAME of an object, completed from those that are there."""
    return click.argument("name", shell_complete=lambda ctx, param, start: complete(resource, ctx, start))


def complete(resource: Resource, ctx: click.Context, start: str) -> list[str]:
    """Names of that kind that begin so; none where the API does not answer, for a shell that waits."""
    try:
        found = Api(timeout_seconds=1.0).list(resource, ctx.params.get("namespace") or "default" if resource.namespaced else None)
    except (StatusError, InstanceError, OSError):
        return []
    return [obj["metadata"]["name"] for obj in found if obj["metadata"]["name"].startswith(start)]


def cluster_queue_option(help_text: str, *, required: bool = False) -> Callable[[F], F]:
    """`-c, --clusterqueue`."""
    presence: dict[str, Any] = {"required": True} if required else {"default": ""}
    return click.option(
        "-c",
        "--clusterqueue",
        **presence,
        help=help_text,
        shell_complete=lambda ctx, param, start: complete(CLUSTER_QUEUES, ctx, start),
    )


def show_change(obj: dict[str, Any], resource: Resource, done: str, output: str | None, dry_run: str) -> None:
    """What a change came to: kubectl's line, or the object."""
    name = f"{resource.kind.lower()}.{resource.group}/{obj['metadata']['name']}"
    if output is None:
        tail = {"server": " (server dry run)", "client": " (dry run)"}.get(dry_run, "")
        click.echo(f"{name} {done}{tail}")
    elif output == "name":
        click.echo(name)
    else:
        print_object(obj, output)


def print_object(document: dict[str, Any], output: str) -> None:
    """JSON or YAML, without what only the server's bookkeeping needs."""
    for obj in document.get("items", [document]):
        obj["metadata"].pop("managedFields", None)
    click.echo(json_text(document) if output == "json" else yaml_text(document).rstrip())

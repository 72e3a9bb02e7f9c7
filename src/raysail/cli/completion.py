"""`raysail completion bash|zsh|fish`: the script that completes commands, options and names of objects."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    \b
      eval "$(raysail completion bash)"        in ~/.bashrc
      eval "$(raysail completion zsh)"         in ~/.zshrc
      raysail completion fish | source         in config.fish
    """  # noqa: D301 - click wants the character
    from raysail.cli.main import cli

    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"no completion for {shell}")
    click.echo(found(cli, {}, "raysail", "_RAYSAIL_COMPLETE").source())

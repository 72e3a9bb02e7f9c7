"""`raysail delete workload`: the job that it stands for goes, and takes it along; `raysail delete KIND NAME` is `raysail.cli.objects`."""

from __future__ import annotations

from typing import Any

import click

from raysail.api.errors import StatusError, is_not_found
from raysail.api.resources import WORKLOADS, Resource
from raysail.cli.connection import Api
from raysail.cli.kinds import Kinds
from raysail.cli.objects import all_namespaces_option, namespace_option
from raysail.cli.objects import delete as delete_objects
from raysail.cli.queues.grammar import WORKLOAD, KindGroup, complete, dry_run_option

Owner = tuple[Resource, str]


@click.command(cls=KindGroup, otherwise=delete_objects)
def delete() -> None:
    """Delete objects; a Workload goes with its job."""


@click.command()
@click.argument("names", nargs=-1, shell_complete=lambda ctx, param, start: complete(WORKLOADS, ctx, start))
@namespace_option
@all_namespaces_option
@click.option("--all", "everything", is_flag=True, help="All Workloads of the namespace.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@dry_run_option
def delete_workload(names: tuple[str, ...], namespace: str, all_namespaces: bool, everything: bool, yes: bool, dry_run: str) -> None:
    """Delete Workloads with the jobs they stand for. Asks before, unless --yes is given."""
    if not everything and not names:
        raise click.UsageError("which Workloads? Give names, or --all")
    if everything and names:
        raise click.UsageError("name cannot be provided when a selector is specified")
    if all_namespaces and names:
        raise click.UsageError("a resource cannot be retrieved by name across all namespaces")
    api = Api()
    workloads = api.list(WORKLOADS, None if all_namespaces else namespace) if everything else _named(api, names, namespace)
    owners = _owners(api, workloads)
    if dry_run == "none" and not yes and any(owners) and not _confirmed(workloads, owners, everything=everything):
        click.echo("Deletion is canceled")
        return
    for workload, jobs in zip(workloads, owners, strict=True):
        _delete(api, workload, jobs, dry_run)


def _named(api: Api, names: tuple[str, ...], namespace: str) -> list[dict[str, Any]]:
    found = []
    for name in names:
        try:
            found.append(api.get(WORKLOADS, name, namespace))
        except StatusError as error:
            if not is_not_found(error):
                raise
            click.echo(error.message, err=True)
    return found


def _owners(api: Api, workloads: list[dict[str, Any]]) -> list[list[Owner]]:
    """The jobs of each."""
    kinds = Kinds(api) if any(workload["metadata"].get("ownerReferences") for workload in workloads) else None
    return [
        [(kinds.of_object(owner), owner["name"]) for owner in workload["metadata"].get("ownerReferences") or ()]
        if kinds is not None
        else []
        for workload in workloads
    ]


def _confirmed(workloads: list[dict[str, Any]], owners: list[list[Owner]], *, everything: bool) -> bool:
    if everything:
        click.echo("This operation will also delete the jobs associated with these workloads.")
    else:
        click.echo("This operation will also delete:")
        for workload, jobs in zip(workloads, owners, strict=True):
            if jobs:
                metadata = workload["metadata"]
                told = ", ".join(_label(resource, name) for resource, name in jobs)
                click.echo(f"  - {told} associated with the {metadata['namespace']}/{metadata['name']} workload")
    try:
        answer = click.prompt("Do you want to proceed (y/n)?", default="n", show_default=False, prompt_suffix=" ")
    except click.Abort:  # nobody is there to answer
        return False
    return str(answer).strip().lower() == "y"


def _delete(api: Api, workload: dict[str, Any], jobs: list[Owner], dry_run: str) -> None:
    """The jobs; the Workload itself only where there are none: else the garbage collector sees to it."""
    metadata = workload["metadata"]
    tail = {"server": " (server dry run)", "client": " (dry run)"}.get(dry_run, "")
    for resource, name in jobs or [(WORKLOADS, metadata["name"])]:
        if dry_run != "client":
            try:
                api.delete(resource.path(metadata["namespace"] if resource.namespaced else None, name), dry_run=dry_run == "server")
            except StatusError as error:
                if not is_not_found(error):
                    raise
        click.echo(f"{_label(resource, name)} deleted{tail}")


def _label(resource: Resource, name: str) -> str:
    return f"{resource.plural}{'.' + resource.group if resource.group else ''}/{name}"


delete.kind(WORKLOAD, delete_workload)

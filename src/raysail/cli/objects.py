"""apply, get, describe, delete, events: kubectl's grammar for the everyday verbs, without kubectl."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import orjson

from raysail.api.errors import StatusError, is_not_found
from raysail.api.resources import EVENTS, Resource
from raysail.cli.connection import Api
from raysail.cli.describe import describe_object, event_lines
from raysail.cli.kinds import Kinds, targets
from raysail.cli.output import json_text, table, yaml_text

_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"

namespace_option = click.option("-n", "--namespace", default="default", show_default=True, help="Namespace.")
all_namespaces_option = click.option("-A", "--all-namespaces", is_flag=True, help="All namespaces.")
selector_option = click.option("-l", "--selector", default="", help="Label selector, such as app=x,tier!=y.")
output_option = click.option(
    "-o", "--output", type=click.Choice(["table", "wide", "json", "yaml", "name"]), default="table", help="Form of the output."
)


def read_manifests(files: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The objects of YAML or JSON files, of all such files of a folder, or of standard input (`-`). Raises click.UsageError with file and line."""
    import yaml

    for file in files:
        if file == "-":
            sources = [("standard input", sys.stdin.read())]
        else:
            path = Path(file)
            if not path.exists():
                raise click.UsageError(f'the path "{file}" does not exist')
            found = sorted(p for p in path.iterdir() if p.suffix in (".yaml", ".yml", ".json")) if path.is_dir() else [path]
            sources = [(str(p), p.read_text()) for p in found]
        for name, text in sources:
            try:
                documents = list(yaml.load_all(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
            except yaml.YAMLError as error:
                raise click.UsageError(f"{name} is not YAML: {error}") from error
            for document in documents:
                if document is None:
                    continue
                if not isinstance(document, dict) or "kind" not in document:
                    raise click.UsageError(f"{name}: every document needs apiVersion and kind")
                yield from document.get("items", [document]) if document["kind"] == "List" else [document]


@click.command()
@click.option("-f", "--filename", "files", multiple=True, required=True, help="File, folder or - for standard input; may be repeated.")
@click.option("-n", "--namespace", default="", help="Namespace for objects that name none (default: default).")
@click.option("--dry-run", is_flag=True, help="Let the server check, store nothing.")
def apply(files: tuple[str, ...], namespace: str, dry_run: bool) -> None:
    """Create or change objects (server-side apply as field manager `raysail`). Goes on after a refused object and exits with 1 then."""
    api = Api()
    kinds = Kinds(api)
    refused = 0
    for obj in read_manifests(files):
        resource = kinds.of_object(obj)
        metadata = obj.setdefault("metadata", {})
        where = metadata.get("namespace") or namespace or "default"
        label = f"{resource.plural}{'.' + resource.group if resource.group else ''}"
        try:
            if not metadata.get("name"):
                created = api.create(resource, obj, where if resource.namespaced else None, dry_run=dry_run)
                click.echo(f"{label}/{created['metadata']['name']} created")
                continue
            path = resource.path(where if resource.namespaced else None, metadata["name"])
            before = _version(api, path)
            after = api.apply(path, obj, dry_run=dry_run)["metadata"].get("resourceVersion")
        except StatusError as error:
            refused += 1
            click.echo(f"Error from server ({error.reason}): {label}/{metadata.get('name', '')}: {error.message}", err=True)
            continue
        outcome = "created" if before is None else "unchanged" if before == after else "configured"
        click.echo(f"{label}/{metadata['name']} {outcome}{' (dry run)' if dry_run else ''}")
    if refused:
        raise click.exceptions.Exit(1)


def _version(api: Api, path: str) -> str | None:
    try:
        return str(api.request("GET", path)["metadata"]["resourceVersion"])
    except StatusError as error:
        if is_not_found(error):
            return None
        raise


@click.command()
@click.argument("what", nargs=-1, required=True)
@namespace_option
@all_namespaces_option
@selector_option
@output_option
@click.option("-w", "--watch", is_flag=True, help="Then print changes as they come.")
@click.option("--no-headers", is_flag=True, help="Rows only.")
def get(what: tuple[str, ...], namespace: str, all_namespaces: bool, selector: str, output: str, watch: bool, no_headers: bool) -> None:
    """Show objects: `get rayjobs`, `get rayjob NAME`, `get pod/NAME rayjob/NAME`, `get all`."""
    api = Api()
    found = targets(Kinds(api), what)
    missing = 0
    if watch and len(found) > 1:
        raise click.UsageError("you may only specify a single resource type with --watch")
    for index, (resource, names) in enumerate(found):
        scope = None if all_namespaces or not resource.namespaced else namespace
        try:
            print_kind(api, resource, names, scope, selector, output, no_headers, prefix=len(found) > 1, first=index == 0)
        except StatusError as error:
            missing += 1
            click.echo(f"Error from server ({error.reason}): {error.message}", err=True)
        if watch:
            _watch(api, resource, names, scope, selector, output)
    if missing:
        raise click.exceptions.Exit(1)


def print_kind(
    api: Api,
    resource: Resource,
    names: Sequence[str],
    scope: str | None,
    selector: str,
    output: str,
    no_headers: bool,
    *,
    prefix: bool,
    first: bool,
    field_selector: str = "",
) -> None:
    """Objects of one kind, by name or all that the selectors take."""
    paths = [resource.path(scope, name) for name in names] or [resource.path(scope)]
    params = {key: value for key, value in (("labelSelector", selector), ("fieldSelector", field_selector)) if value and not names}
    if output in ("table", "wide"):
        answers = [api.request("GET", path, params=params, headers={"Accept": _TABLE}) for path in paths]
        columns = [c for c in answers[0]["columnDefinitions"] if output == "wide" or c.get("priority", 0) == 0]
        indexes = [answers[0]["columnDefinitions"].index(c) for c in columns]
        rows = [
            _row(row, indexes, resource, all_scopes=scope is None and resource.namespaced, prefix=prefix)
            for answer in answers
            for row in answer["rows"]
        ]
        if not rows:
            if not prefix:
                where = f" in {scope} namespace" if scope else ""
                click.echo(f"No resources found{where}.", err=True)
            return
        headers = (["NAMESPACE"] if scope is None and resource.namespaced else []) + [c["name"].upper() for c in columns]
        click.echo(("" if first else "\n") + table(headers, rows, no_headers=no_headers))
        return
    objects = [api.request("GET", path, params=params) for path in paths]
    if output == "name":
        for obj in _items(objects):
            click.echo(f"{resource.kind.lower()}{'.' + resource.group if resource.group else ''}/{obj['metadata']['name']}")
        return
    document = objects[0] if len(objects) == 1 else {"apiVersion": "v1", "kind": "List", "items": objects}
    for obj in _items([document]):
        obj["metadata"].pop("managedFields", None)
    click.echo(json_text(document) if output == "json" else yaml_text(document).rstrip())


def _items(objects: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for obj in objects:
        yield from obj.get("items", [obj])


def _row(row: dict[str, Any], indexes: Sequence[int], resource: Resource, *, all_scopes: bool, prefix: bool) -> list[object]:
    cells: list[object] = [row["cells"][i] for i in indexes]
    if prefix:
        cells[0] = f"{resource.kind.lower()}/{cells[0]}"
    return [row["object"]["metadata"].get("namespace", ""), *cells] if all_scopes else cells


def _watch(api: Api, resource: Resource, names: Sequence[str], scope: str | None, selector: str, output: str) -> None:
    version = api.request("GET", resource.path(scope), params={"limit": "1"})["metadata"]["resourceVersion"]
    params = {"watch": "true", "resourceVersion": version} | ({"labelSelector": selector} if selector else {})
    for line in api.stream(resource.path(scope), params):
        event = orjson.loads(line)
        obj = event["object"]
        if event["type"] == "ERROR":
            raise StatusError.from_status(obj)
        name = obj["metadata"]["name"]
        if names and name not in names:
            continue
        if output in ("json", "yaml"):
            click.echo(json_text(obj) if output == "json" else "---\n" + yaml_text(obj).rstrip())
        elif event["type"] == "DELETED":
            click.echo(f"{name}   deleted")
        else:
            try:
                print_kind(api, resource, [name], obj["metadata"].get("namespace"), "", output, True, prefix=False, first=True)
            except StatusError as error:
                if not is_not_found(error):  # gone again meanwhile: its DELETED event follows
                    raise


@click.command()
@click.argument("what", nargs=-1, required=True)
@namespace_option
@selector_option
def describe(what: tuple[str, ...], namespace: str, selector: str) -> None:
    """Show objects in detail, with their events."""
    api = Api()
    blocks = []
    for resource, names in targets(Kinds(api), what):
        scope = namespace if resource.namespaced else None
        objects = [api.get(resource, name, scope) for name in names] or api.list(
            resource, scope, **({"labelSelector": selector} if selector else {})
        )
        for obj in objects:
            events = api.list(
                EVENTS, obj["metadata"].get("namespace") or "default", fieldSelector=f"regarding.uid={obj['metadata']['uid']}"
            )
            blocks.append(describe_object(obj, events))
    if not blocks:
        click.echo("No resources found.", err=True)
    click.echo("\n\n\n".join(blocks))


@click.command()
@click.argument("what", nargs=-1)
@click.option("-f", "--filename", "files", multiple=True, help="Delete what these manifests name.")
@namespace_option
@selector_option
@click.option("--all", "everything", is_flag=True, help="All objects of the kind in the namespace.")
@click.option(
    "--cascade", type=click.Choice(["background", "foreground", "orphan"]), default="background", help="What becomes of dependents."
)
@click.option("--ignore-not-found", is_flag=True, help="Absent objects are no error.")
def delete(
    what: tuple[str, ...], files: tuple[str, ...], namespace: str, selector: str, everything: bool, cascade: str, ignore_not_found: bool
) -> None:
    """Delete objects: `delete rayjob NAME`, `delete -f x.yaml`, `delete rayjobs -l app=x`."""
    api = Api()
    kinds = Kinds(api)
    doomed: list[tuple[Resource, str | None, str]] = []
    for obj in read_manifests(files):
        resource = kinds.of_object(obj)
        doomed.append((resource, obj["metadata"].get("namespace", namespace) if resource.namespaced else None, obj["metadata"]["name"]))
    for resource, names in targets(kinds, what) if what else ():
        scope = namespace if resource.namespaced else None
        if not names and not (everything or selector):
            raise click.UsageError(f"which {resource.plural}? Give names, -l SELECTOR or --all")
        listed = names or [o["metadata"]["name"] for o in api.list(resource, scope, **({"labelSelector": selector} if selector else {}))]
        doomed += [(resource, scope, name) for name in listed]
    failed = 0
    for resource, scope, name in doomed:
        try:
            api.delete(resource.path(scope, name), cascade.capitalize())
            click.echo(f'{resource.kind.lower()}{"." + resource.group if resource.group else ""} "{name}" deleted')
        except StatusError as error:
            if not (ignore_not_found and is_not_found(error)):
                failed += 1
                click.echo(f"Error from server ({error.reason}): {error.message}", err=True)
    if failed:
        raise click.exceptions.Exit(1)


@click.command()
@click.argument("what", nargs=-1)
@namespace_option
@all_namespaces_option
def events(what: tuple[str, ...], namespace: str, all_namespaces: bool) -> None:
    """What happened lately, oldest first; with `kind/name` only what concerns it."""
    api = Api()
    found = api.list(EVENTS, None if all_namespaces else namespace)
    if what:
        wanted = {(resource.kind, name) for resource, names in targets(Kinds(api), what) for name in names}
        found = [e for e in found if (e.get("regarding", {}).get("kind"), e.get("regarding", {}).get("name")) in wanted]
    rows = event_lines(found, with_object=True)
    if not rows:
        click.echo("No events found.", err=True)
        return
    click.echo(table(["LAST SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"], rows))

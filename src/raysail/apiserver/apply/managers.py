"""`metadata.managedFields`: who set which fields, when and in which version.

Rules: k8s.io/apimachinery pkg/util/managedfields/internal/{managedfields,capmanagers}.go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from raysail.apiserver.apply.fields import FieldsError, FieldSet, canonical, union

MAX_UPDATE_MANAGERS: Final = 10
OLD_UPDATES_MANAGER: Final = "ancient-changes"
_MAX_NAME_BYTES: Final = 128


class ManagedFieldsError(ValueError):
    """A list of managedFields cannot be read."""


@dataclass(frozen=True, slots=True, order=True)
class Manager:
    """Who owns fields: a name doing applies or updates, updates also by version. The order is that in which conflicts are listed."""

    name: str
    operation: str
    api_version: str = ""
    subresource: str = ""


@dataclass(frozen=True, slots=True)
class Ownership:
    """What a manager owns, in terms of a version. `time` is RFC 3339 text, None if it is not known."""

    fields: FieldSet
    api_version: str
    time: str | None = None


Managed = dict[Manager, Ownership]


def manager_of(name: str, operation: str, api_version: str, subresource: str) -> Manager:
    """The identity of a manager: an applier is the same in all versions."""
    return Manager(name or "unknown", operation, "" if operation == "Apply" else api_version, subresource)


def name_from_user_agent(user_agent: str) -> str:
    """Who writes when no fieldManager is given: the user agent up to its first slash, printable, 128 bytes at most."""
    name, size = "", 0
    for character in user_agent.partition("/")[0]:
        if not character.isprintable():
            continue
        size += len(character.encode())
        if size > _MAX_NAME_BYTES:
            break
        name += character
    return name


def decode(entries: Any, trusted: Sequence[Mapping[str, Any]] = ()) -> Managed:
    """What a list of managedFields says. Sets equal to one of `trusted` (those stored) are taken as they are, others brought to canonical form.

    Raises ManagedFieldsError.
    """
    managed: Managed = {}
    known = [entry.get("fieldsV1") for entry in trusted]
    for index, entry in enumerate(entries or ()):
        if not isinstance(entry, dict):
            raise ManagedFieldsError("expected an object")
        operation, api_version, fields_type = entry.get("operation"), entry.get("apiVersion") or "", entry.get("fieldsType")
        if operation not in ("Apply", "Update"):
            raise ManagedFieldsError("operation must be `Apply` or `Update`")
        if not api_version:
            raise ManagedFieldsError("apiVersion must not be empty")
        if fields_type != "FieldsV1":
            text = f"invalid fieldsType {fields_type!r}" if fields_type else "missing fieldsType"
            raise ManagedFieldsError(f"{text} in managed fields entry {index}")
        fields = entry.get("fieldsV1") or {}
        if fields not in known:
            try:
                fields = canonical(fields)
            except FieldsError as error:
                raise ManagedFieldsError(str(error)) from error
        manager = Manager(
            entry.get("manager") or "", operation, "" if operation == "Apply" else api_version, entry.get("subresource") or ""
        )
        managed[manager] = Ownership(fields, api_version, entry.get("time"))
    return managed


def encode(managed: Managed) -> list[dict[str, Any]] | None:
    """The list as it is stored, None if nobody owns anything. Ordered by operation, time in whole seconds, name, version, subresource."""
    if not managed:
        return None
    return [_entry(manager, owned) for manager, owned in sorted(managed.items(), key=_order)]


def _order(item: tuple[Manager, Ownership]) -> tuple[str, str, str, str, str]:
    manager, owned = item
    return (manager.operation, (owned.time or "")[:19], manager.name, owned.api_version, manager.subresource)


def _entry(manager: Manager, owned: Ownership) -> dict[str, Any]:
    entry: dict[str, Any] = {}
    if manager.name:
        entry["manager"] = manager.name
    entry |= {"operation": manager.operation, "apiVersion": owned.api_version}
    if owned.time:
        entry["time"] = owned.time
    entry |= {"fieldsType": "FieldsV1", "fieldsV1": owned.fields}
    if manager.subresource:
        entry["subresource"] = manager.subresource
    return entry


def capped(managed: Managed) -> Managed:
    """No more than ten update managers: the oldest are put together under one name a version."""
    updaters = sorted(_updaters(managed), key=lambda item: ((item[1].time or "")[:19], item[0]))
    count = len(updaters)
    if count <= MAX_UPDATE_MANAGERS:
        return managed
    result = dict(managed)
    first_of_version: dict[str, Manager] = {}
    for manager, owned in updaters:
        if count <= MAX_UPDATE_MANAGERS:
            break
        bucket = Manager(OLD_UPDATES_MANAGER, "Update", owned.api_version)
        first = first_of_version.get(owned.api_version)
        if first is None:
            first_of_version[owned.api_version] = manager
            continue
        if bucket not in result:
            result[bucket] = result.pop(first)
        result[bucket] = Ownership(union(owned.fields, result[bucket].fields), owned.api_version, owned.time)
        del result[manager]
        count -= 1
    return result


def _updaters(managed: Managed) -> Iterator[tuple[Manager, Ownership]]:
    return ((manager, owned) for manager, owned in managed.items() if manager.operation == "Update")


def is_reset(entries: Any) -> bool:
    """Whether a client asks to forget all managers: an empty list, or `[{}]`."""
    return isinstance(entries, list) and entries in ([], [{}])


def settle_times(new: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    """Whether the only difference between two objects is the time of managers, so that the write shall count as none.

    As IgnoreManagedFieldsTimestampsTransformer (apiserver pkg/endpoints/handlers/fieldmanager/equality.go).
    """
    new_meta, old_meta = new.get("metadata") or {}, old.get("metadata") or {}
    new_entries, old_entries = new_meta.get("managedFields") or [], old_meta.get("managedFields") or []
    if len(new_entries) != len(old_entries) or not new_entries:
        return False
    if any(_timeless(left) != _timeless(right) for left, right in zip(new_entries, old_entries, strict=True)):
        return False
    if {k: v for k, v in new.items() if k != "metadata"} != {k: v for k, v in old.items() if k != "metadata"}:
        return False
    ignored = ("managedFields",)
    return {k: v for k, v in new_meta.items() if k not in ignored} == {k: v for k, v in old_meta.items() if k not in ignored}


def _timeless(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "time"}

"""The rules of one built-in kind, and the Strategy that follows from them.

A kind states what differs; `KindStrategy` knows what is alike: the Go form, status apart from the rest, the order of checks. Checks append to a list of
causes, since one refusal tells every fault.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from raysail.api.errors import Cause, bad_request
from raysail.api.openapi import SchemaNode
from raysail.api.resources import Resource
from raysail.apiserver.kinds.form import root, settle
from raysail.apiserver.schema import DecodeError, decode
from raysail.apiserver.schema.canonical import Accept, compile_canonical
from raysail.apiserver.strategy import Decoded, JsonObject, Request

Prepare = Callable[[JsonObject, Request], None]
PrepareUpdate = Callable[[JsonObject, Mapping[str, Any], Request], None]
Check = Callable[[Mapping[str, Any], list[Cause]], None]
CheckUpdate = Callable[[Mapping[str, Any], Mapping[str, Any], list[Cause]], None]
Changed = Callable[[Mapping[str, Any], Mapping[str, Any]], bool]


def spec_differs(obj: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    """The usual reason for a new generation."""
    return obj.get("spec") != old.get("spec")


def never(obj: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
    """Of kinds that count no generations."""
    return False


@dataclass(frozen=True, slots=True)
class Subresource:
    """Rules of a write to a subresource that shares the object's shape. `prepare` puts back what it may not change."""

    prepare: PrepareUpdate
    check: CheckUpdate | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """What a kind decides. `check` is for every write of the object itself, `check_create` for new ones only.

    `check_update` is for what is immutable, `check_status` for status writes, `prepare_status` for what such a write cannot do.
    `status_at_create`: whoever creates such an object may say its status too. `status_keeps` are fields of metadata that a status write does not change (`*` for all of it).
    """

    has_status: bool = False
    status_at_create: bool = False
    create: Prepare | None = None
    update: PrepareUpdate | None = None
    check: Check | None = None
    check_create: Check | None = None
    check_update: CheckUpdate | None = None
    check_status: CheckUpdate | None = None
    prepare_status: PrepareUpdate | None = None
    changed: Changed = never
    warnings: Callable[[Mapping[str, Any]], list[str]] | None = None
    status_keeps: tuple[str, ...] = ()
    subresources: Mapping[str, Subresource] = field(default_factory=dict)


class KindStrategy:
    """The Strategy of a built-in kind."""

    defaults_at_decoding = True

    def __init__(self, resource: Resource, definition: str, rules: Rules) -> None:
        self.resource = resource
        self.rules = rules
        self.schema: SchemaNode = root(definition)
        self.prepares_creation = rules.create is not None or (rules.has_status and not rules.status_at_create)

    @cached_property
    def _is_canonical(self) -> Accept:
        return compile_canonical(self.schema)

    def decode(self, obj: JsonObject) -> Decoded:
        """As Go's decoder reads it, with defaults. Raises StatusError (BadRequest)."""
        unknown: list[str] = []
        if not self._is_canonical(obj):
            try:
                obj, unknown = decode(self.schema, obj, self.resource.kind)
            except DecodeError as error:
                raise bad_request(str(error)) from error
        settle(self.schema, obj)
        return Decoded(obj, unknown)

    def default(self, obj: JsonObject) -> None:
        """Defaults, and Go's form of empty values."""
        settle(self.schema, obj)

    def prepare_for_create(self, obj: JsonObject, request: Request) -> None:
        """Status is not for creators."""
        if self.rules.has_status and not self.rules.status_at_create:
            obj["status"] = {}
        if self.rules.create is not None:
            self.rules.create(obj, request)

    def prepare_for_update(self, obj: JsonObject, old: Mapping[str, Any], request: Request) -> None:
        """Status changes through its subresource only, all else not through it."""
        if request.subresource == "status":
            _keep_all_but_status(obj, old, self.rules.status_keeps)
            if self.rules.prepare_status is not None:
                self.rules.prepare_status(obj, old, request)
        elif request.subresource in self.rules.subresources:
            self.rules.subresources[request.subresource].prepare(obj, old, request)
        else:
            if self.rules.has_status:
                _put(obj, "status", old)
            if self.rules.update is not None:
                self.rules.update(obj, old, request)

    def validate(self, obj: JsonObject, request: Request) -> list[Cause]:
        """The faults of a new object."""
        faults: list[Cause] = []
        for check in (self.rules.check, self.rules.check_create):
            if check is not None:
                check(obj, faults)
        return faults

    def validate_update(self, obj: JsonObject, old: Mapping[str, Any], request: Request) -> list[Cause]:
        """The faults of a changed object."""
        faults: list[Cause] = []
        rules = self.rules
        if request.subresource == "status":
            if rules.check_status is not None:
                rules.check_status(obj, old, faults)
            return faults
        if request.subresource in rules.subresources:
            check = rules.subresources[request.subresource].check
            if check is not None:
                check(obj, old, faults)
            return faults
        if rules.check is not None:
            rules.check(obj, faults)
        if rules.check_update is not None:
            rules.check_update(obj, old, faults)
        return faults

    def spec_changed(self, obj: Mapping[str, Any], old: Mapping[str, Any]) -> bool:
        """Whether metadata.generation grows."""
        return self.rules.changed(obj, old)

    def warnings(self, obj: Mapping[str, Any]) -> list[str]:
        """Texts for `Warning:` headers."""
        return self.rules.warnings(obj) if self.rules.warnings is not None else []


def _keep_all_but_status(obj: JsonObject, old: Mapping[str, Any], metadata_fields: tuple[str, ...]) -> None:
    for name in {*obj, *old} - {"status", "metadata", "kind", "apiVersion"}:
        _put(obj, name, old)
    if "*" in metadata_fields:
        keep_metadata(obj, old)
        return
    for name in metadata_fields:
        _put(obj["metadata"], name, old["metadata"])


def keep_metadata(obj: JsonObject, old: Mapping[str, Any]) -> None:
    """Puts back all of the metadata but what says who wrote, and upon which version."""
    given = obj["metadata"]
    obj["metadata"] = {**old["metadata"]}
    for name in ("managedFields", "resourceVersion"):
        _put(obj["metadata"], name, given)


def _put(obj: JsonObject, name: str, old: Mapping[str, Any]) -> None:
    if name in old:
        obj[name] = old[name]
    else:
        obj.pop(name, None)

"""Who owns which field: server-side apply, and the bookkeeping of all other writes.

`FieldManager` is what k8s.io/apimachinery pkg/util/managedfields calls so: one for each kind, version and subresource. `apply` merges a configuration
into the live object, refuses to take what others own, and removes what its manager no longer applies; `track` notes what a create, update or patch
changed. Both are pure: the time comes in, objects are not changed in place. The merge follows structured-merge-diff merge/update.go.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

from raysail.api.errors import StatusError, bad_request
from raysail.api.meta import format_time
from raysail.api.openapi import SchemaNode
from raysail.apiserver.apply.conflicts import ConflictsError
from raysail.apiserver.apply.fields import FieldSet, difference, from_paths, intersection, union
from raysail.apiserver.apply.managers import (
    Managed,
    ManagedFieldsError,
    Manager,
    Ownership,
    capped,
    decode,
    encode,
    is_reset,
    manager_of,
)
from raysail.apiserver.apply.merge import merge, without
from raysail.apiserver.apply.typed import Comparison, Filter, TypedError, compare, everything, field_set, reconciled, with_named_parents
from raysail.apiserver.apply.types import Type, of_object

JsonObject = dict[str, Any]

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"
_BEFORE_FIRST_APPLY: Final = "before-first-apply"
_KUBECTL: Final = "kubectl"

_NOBODYS: Final = frozenset({"apiVersion", "kind", "metadata"})
_NOBODYS_METADATA: Final = frozenset(
    {"name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation", "managedFields", "resourceVersion"}
)
_NEVER_OWNED: Final = from_paths([*((f"f:{name}",) for name in _NOBODYS), *(("f:metadata", f"f:{name}") for name in _NOBODYS_METADATA)])


class Versions(Protocol):
    """The other versions of a kind."""

    def schema(self, api_version: str) -> SchemaNode | None:
        """The schema in that version, None if it is no longer known."""
        ...

    def convert(self, obj: Mapping[str, Any], api_version: str) -> JsonObject:
        """The object in that version."""
        ...


@dataclass(frozen=True, slots=True)
class OneVersion:
    """A kind that exists in one version only."""

    def schema(self, api_version: str) -> SchemaNode | None:
        """None: there is no other version."""
        return None

    def convert(self, obj: Mapping[str, Any], api_version: str) -> JsonObject:
        """Never asked."""
        raise KeyError(api_version)


@dataclass(slots=True)
class FieldManager:
    """Ownership of fields for one kind, version and subresource.

    `api_version` is group/version; `reset` drops the fields that writes here cannot change (status on the main resource, spec on `status`).
    """

    schema: SchemaNode
    api_version: str
    kind: str
    subresource: str = ""
    reset: Filter | None = None
    versions: Versions = field(default_factory=OneVersion)
    _types: dict[str, Type] = field(default_factory=dict, init=False)

    def apply(self, live: JsonObject | None, config: JsonObject, *, manager: str, force: bool, now: datetime) -> JsonObject:
        """The live object (None: there is none) with the configuration applied and `metadata.managedFields` brought up to date.

        The result shares what is unchanged with `live` and `config`. Raises StatusError: 400 for a configuration of another kind or with managedFields,
        409 for conflicts, 500 for one that does not fit the schema (as kube-apiserver does).
        """
        self._check_configuration(config)
        current = live if live is not None else {"apiVersion": self.api_version, "kind": self.kind}
        try:
            managed = decode(_entries(current), _entries(current))
        except ManagedFieldsError as error:
            raise StatusError("", f"failed to decode managed fields: {error}", 500) from error
        if not managed:
            empty = {"apiVersion": self.api_version, "kind": self.kind}
            managed = self._tracked(empty, current, {}, manager_of(_BEFORE_FIRST_APPLY, "Update", self.api_version, self.subresource), now)
        who = manager_of(manager, "Apply", self.api_version, self.subresource)
        try:
            return self._applied(current, config, managed, who, force=force, now=now)
        except ConflictsError as error:
            if manager != _KUBECTL:
                raise error.status() from None
            allowed = self._last_applied_fields(current)
            left = {owner: difference(fields, allowed) for owner, fields in error.conflicts.items()}
            left = {owner: fields for owner, fields in left.items() if fields}
            if left:
                raise ConflictsError(left).status() from None
        return self._applied(current, config, managed, who, force=True, now=now)

    def track(self, live: JsonObject | None, new: JsonObject, *, manager: str, now: datetime) -> list[JsonObject] | None:
        """The managedFields after a create (no live object), update or patch made `new` of `live`; None if there shall be none.

        Never refuses: fields that cannot be tracked leave the object without owners, as in kube-apiserver.
        """
        try:
            if live is None and not _entries(new):
                return self._created(new, manager, now)
            managed = self._claimed(live, new)
            if not managed and live is not None:
                return None
            who = manager_of(manager, "Update", self.api_version, self.subresource)
            before = live if live is not None else {"apiVersion": self.api_version, "kind": self.kind}
            return encode(capped(self._tracked(before, new, managed, who, now)))
        except TypedError:
            return None

    def _created(self, new: JsonObject, manager: str, now: datetime) -> list[JsonObject] | None:
        """The managedFields of a new object that nobody has said anything about: all there is belongs to its creator. Raises TypedError."""
        of = self._type(self.api_version)
        own: dict[str, Any] = dict(everything(of, new, _NOBODYS))
        metadata, meta = new.get("metadata"), of.child("metadata")
        if metadata and meta is not None and (owned := everything(meta, metadata, _NOBODYS_METADATA)):
            own["f:metadata"] = owned
        fields = self.reset(own) if self.reset else own
        who = manager_of(manager, "Update", self.api_version, self.subresource)
        return encode({who: Ownership(fields, self.api_version, _text(now))}) if fields else None

    def _claimed(self, live: JsonObject | None, new: JsonObject) -> Managed:
        """The managers that a write starts from: those the client sends along, or the stored ones."""
        stored = _entries(live or {})
        sent = (new.get("metadata") or {}).get("managedFields")
        if not self.subresource:
            if is_reset(sent):
                return {}
            try:
                if managed := decode(sent, stored):
                    return managed
            except ManagedFieldsError:
                pass  # a client that does not understand managedFields shall not lose them
        try:
            return decode(stored, stored)
        except ManagedFieldsError:
            return {}

    def _tracked(self, live: JsonObject, new: JsonObject, managed: Managed, who: Manager, now: datetime) -> Managed:
        before, after = _without_managed(live), _without_managed(new)
        managed = self._reconciled(managed)
        comparison = self._compare(before, after, self.api_version)
        managed = self._taken(managed, None, before, after, {self.api_version: comparison}, force=True)
        own = union(comparison.modified, comparison.added)
        own = difference(self.reset(own) if self.reset else own, _NEVER_OWNED)
        if own:
            previous = managed.get(who)
            fields = union(own, previous.fields) if previous else own
            managed[who] = Ownership(fields, self.api_version, _text(now))
        return managed

    def _applied(self, live: JsonObject, config: JsonObject, managed: Managed, who: Manager, *, force: bool, now: datetime) -> JsonObject:
        of = self._type(self.api_version)
        try:
            own = field_set(of, config, strict=True)
        except TypedError as error:
            meta = config.get("metadata") or {}
            name = f"{meta.get('namespace', '')}/{meta.get('name', '')}; {_gvk(config)}"
            raise StatusError("", f"failed to create typed patch object ({name}): {error}", 500) from error
        before = _without_managed(live)
        managed = self._reconciled(managed)
        try:
            merged: JsonObject = merge(of, before, config)
            last = managed.get(who)
            own = self.reset(own) if self.reset else own
            managed = {**managed, who: Ownership(own, self.api_version, last.time if last else None)}
            merged = self._pruned(merged, managed, last)
            managed = self._taken(managed, who, before, merged, {}, force=force)
        except TypedError as error:
            raise StatusError("", f"failed to merge config: {error}", 500) from error
        own = difference(own, _NEVER_OWNED)
        if own:
            # A manager that merely joins without changing anything gets no time, one that changed something the time of now.
            time = _text(now) if merged != before else (last.time if last else None)
            managed[who] = Ownership(own, self.api_version, time)
        else:
            managed.pop(who, None)
        if who.name == _KUBECTL:
            merged = _with_last_applied(merged, config)
        return _with_managed(merged, encode(managed))

    def _check_configuration(self, config: JsonObject) -> None:
        if config.get("apiVersion") != self.api_version or config.get("kind") != self.kind:
            raise bad_request(f"invalid object type: {_gvk(config)}")
        meta = config.get("metadata")
        if isinstance(meta, dict) and meta.get("managedFields") is not None:
            raise bad_request("metadata.managedFields must be nil")

    def _type(self, api_version: str) -> Type:
        """The type in a version. Raises KeyError for one that is not known."""
        found = self._types.get(api_version)
        if found is None:
            schema = self.schema if api_version == self.api_version else self.versions.schema(api_version)
            if schema is None:
                raise KeyError(api_version)
            found = self._types[api_version] = of_object(schema)
        return found

    def _in(self, obj: JsonObject, api_version: str) -> JsonObject:
        return obj if api_version == self.api_version else self.versions.convert(obj, api_version)

    def _compare(self, before: JsonObject, after: JsonObject, api_version: str) -> Comparison:
        found = compare(self._type(api_version), self._in(before, api_version), self._in(after, api_version))
        return found.filtered(self.reset)

    def _reconciled(self, managed: Managed) -> Managed:
        """What managers own in terms of today's schemas; those of versions that are gone are dropped."""
        result: Managed = {}
        for manager, owned in managed.items():
            try:
                of = self._type(owned.api_version)
            except KeyError:
                continue
            fields = reconciled(of, owned.fields)
            result[manager] = owned if fields is owned.fields else Ownership(fields, owned.api_version, owned.time)
        return result

    def _taken(
        self,
        managed: Managed,
        who: Manager | None,
        before: JsonObject,
        after: JsonObject,
        comparisons: dict[str, Comparison],
        *,
        force: bool,
    ) -> Managed:
        """What the other managers are left with; `comparisons` of both objects by version are made as needed. Raises ConflictsError, unless forced."""
        result: Managed = {}
        conflicts: dict[Manager, FieldSet] = {}
        for manager, owned in managed.items():
            if manager == who:
                result[manager] = owned
                continue
            if owned.api_version not in comparisons:
                comparisons[owned.api_version] = self._compare(before, after, owned.api_version)
            change = comparisons[owned.api_version]
            lost = union(intersection(owned.fields, change.modified), intersection(owned.fields, change.added))
            if lost:
                conflicts[manager] = lost
            fields = difference(difference(owned.fields, lost), change.removed)
            if fields:
                result[manager] = owned if fields is owned.fields else Ownership(fields, owned.api_version, owned.time)
        if conflicts and not force:
            raise ConflictsError(conflicts)
        return result

    def _pruned(self, merged: JsonObject, managed: Managed, last: Ownership | None) -> JsonObject:
        """Without the fields that the manager applied last time and nobody owns now."""
        if last is None or not last.fields:
            return merged
        version = last.api_version
        owned = {v: _union_all(o.fields for o in managed.values() if o.api_version == v) for v in {o.api_version for o in managed.values()}}
        if len(owned) == 1 and version in owned and not difference(last.fields, owned[version]):
            return merged
        of = self._type(version)
        last_fields = with_named_parents(of, last.fields)
        whole = self._in(merged, version)
        pruned = without(of, whole, last_fields) or {}
        for other in sorted(owned, key=lambda v: v != version):
            pruned = self._with_owned(whole, pruned, version, other, owned[other])
        gone = difference(with_named_parents(of, field_set(of, whole)), with_named_parents(of, field_set(of, pruned)))
        result: JsonObject = without(of, whole, intersection(gone, last_fields)) or {}
        return result if version == self.api_version else self.versions.convert(result, self.api_version)

    def _with_owned(self, merged: JsonObject, pruned: JsonObject, version: str, other: str, owned: FieldSet) -> JsonObject:
        """The pruned object with back in it what somebody owns in terms of the other version. Both objects are of `version`."""
        of = self._type(other)
        if other != version:
            merged, pruned = self.versions.convert(merged, other), self.versions.convert(pruned, other)
        kept = union(with_named_parents(of, field_set(of, pruned)), with_named_parents(of, owned))
        result: JsonObject = without(of, merged, difference(with_named_parents(of, field_set(of, merged)), kept)) or {}
        return result if other == version else self.versions.convert(result, version)

    def _last_applied_fields(self, live: JsonObject) -> FieldSet:
        """What kubectl's client-side apply set and nobody changed since: server-side apply by kubectl may take it over."""
        text = ((live.get("metadata") or {}).get("annotations") or {}).get(LAST_APPLIED)
        if not text:
            return {}
        try:
            applied = json.loads(text)
            if not isinstance(applied, dict) or applied.get("apiVersion") != self.api_version:
                return {}
            of = self._type(self.api_version)
            fields = field_set(of, applied, strict=True)
            change = compare(of, applied, live)
        except ValueError:
            return {}
        return difference(difference(difference(fields, change.modified), change.added), change.removed)


def _union_all(sets: Any) -> FieldSet:
    result: FieldSet = {}
    for fields in sets:
        result = union(result, fields)
    return result


def _entries(obj: Mapping[str, Any]) -> list[JsonObject]:
    found = (obj.get("metadata") or {}).get("managedFields")
    return found if isinstance(found, list) else []


def _without_managed(obj: JsonObject) -> JsonObject:
    meta = obj.get("metadata")
    if not isinstance(meta, dict) or "managedFields" not in meta:
        return obj
    return {**obj, "metadata": {key: value for key, value in meta.items() if key != "managedFields"}}


def _with_managed(obj: JsonObject, entries: list[JsonObject] | None) -> JsonObject:
    meta = {key: value for key, value in (obj.get("metadata") or {}).items() if key != "managedFields"}
    if entries is not None:
        meta["managedFields"] = entries
    return {**obj, "metadata": meta}


def _with_last_applied(obj: JsonObject, config: JsonObject) -> JsonObject:
    """The annotation of kubectl's client-side apply, kept in step if the object has one."""
    meta = obj.get("metadata") or {}
    annotations = meta.get("annotations") or {}
    if not annotations.get(LAST_APPLIED):
        return obj
    applied_meta = dict(config.get("metadata") or {})
    if isinstance(applied_meta.get("annotations"), dict):
        applied_meta["annotations"] = {key: value for key, value in applied_meta["annotations"].items() if key != LAST_APPLIED}
    text = json.dumps({**config, "metadata": applied_meta}, separators=(",", ":"), sort_keys=True, ensure_ascii=False) + "\n"
    return {**obj, "metadata": {**meta, "annotations": {**annotations, LAST_APPLIED: text}}}


def _gvk(obj: Mapping[str, Any]) -> str:
    group, _, version = str(obj.get("apiVersion") or "").rpartition("/")
    return f"{group}/{version}, Kind={obj.get('kind') or ''}"


def _text(now: datetime) -> str:
    return format_time(now)

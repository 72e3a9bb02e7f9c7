"""One change as the line that a watch sends. Encoded once for all watchers that want the same form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from raysail.apiserver.rest import forms
from raysail.apiserver.rest.accept import PARTIAL, PARTIAL_LIST, TABLE
from raysail.apiserver.rest.answer import encode
from raysail.apiserver.rest.call import Call, decoded
from raysail.apiserver.store import Change, Record
from raysail.apiserver.store.history import RECENT

ADDED: Final = "ADDED"
MODIFIED: Final = "MODIFIED"
DELETED: Final = "DELETED"
BOOKMARK: Final = "BOOKMARK"
ERROR: Final = "ERROR"
INITIAL_EVENTS_END: Final = "k8s.io/initial-events-end"


class EventEncoder:
    """Turns changes into lines for one watch."""

    def __init__(self, call: Call, matches: Callable[[Record], bool] | None) -> None:
        self._call = call
        self._matches = matches
        self._first_table = True
        form = call.form.kind
        self._form = PARTIAL if form == PARTIAL_LIST else form
        resource = call.definition.resource
        self._key = (resource.group, resource.version, self._form, call.form.version)

    def initial(self, record: Record) -> bytes | None:
        """An ADDED line for an object that is already there."""
        if self._matches is not None and not self._matches(record):
            return None
        return self._line(ADDED, record.data)

    def change(self, change: Change) -> bytes | None:
        """The line for a change, or None where this watch does not see it."""
        kind, data = self._seen(change)
        if not kind:
            return None
        if self._form == TABLE:  # only its first event repeats the columns, so each watch has its own lines
            return self._line(kind, data)
        key = (kind, self._key)
        line = change.encoded.get(key)
        if line is None:
            line = self._line(kind, data)
            if change.revision > self._call.store.revision - RECENT:
                change.encoded[key] = line
        return line

    def _seen(self, change: Change) -> tuple[str, bytes]:
        matches, new, old = self._matches, change.new, change.old
        if matches is None:
            if new is None:
                return DELETED, change.last.data
            return (MODIFIED if old is not None else ADDED), new.data
        before = old is not None and matches(old)
        if new is None:
            return (DELETED, change.last.data) if before else ("", b"")
        if matches(new):
            return (MODIFIED if before else ADDED), new.data
        if before and old is not None:
            # It left the selection: shown as it was last seen, with the version of the change.
            obj = old.object()
            obj["metadata"]["resourceVersion"] = str(change.revision)
            return DELETED, orjson.dumps(obj)
        return "", b""

    def _line(self, kind: str, data: bytes) -> bytes:
        call = self._call
        if self._form == TABLE:
            obj = decoded(call.definition, orjson.loads(data))
            version = {"resourceVersion": obj["metadata"].get("resourceVersion", "")}
            body = encode(forms.table(call, [obj], version, definitions=self._first_table))
            self._first_table = False
        elif self._form == PARTIAL:
            body = encode(forms.partial(orjson.loads(data)))
        elif call.definition.conversion is not None:
            body = encode(decoded(call.definition, orjson.loads(data)))
        else:
            body = data
        return b'{"type":"%b","object":%b}\n' % (kind.encode(), body)

    def bookmark(self, revision: int, *, end_of_initial: bool = False) -> bytes:
        """A line that says only how far the watch has come."""
        resource = self._call.definition.resource
        metadata: dict[str, Any] = {"resourceVersion": str(revision)}
        if end_of_initial:
            metadata["annotations"] = {INITIAL_EVENTS_END: "true"}
        obj: dict[str, Any] = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": metadata}
        if self._form == TABLE:
            obj = forms.table(self._call, [], metadata, definitions=self._first_table)
        elif self._form == PARTIAL:
            obj = forms.partial(obj)
        return b'{"type":"BOOKMARK","object":%b}\n' % encode(obj)


def error_line(status: Mapping[str, Any]) -> bytes:
    """The last line of a watch that cannot go on."""
    return b'{"type":"ERROR","object":%b}\n' % encode(status)

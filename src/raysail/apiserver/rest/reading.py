"""get and list."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from raysail.api.errors import Cause, StatusError, bad_request, invalid, not_found
from raysail.apiserver.rest import forms
from raysail.apiserver.rest.accept import OBJECT
from raysail.apiserver.rest.answer import Answer
from raysail.apiserver.rest.call import Call, decoded
from raysail.apiserver.rest.selection import Selection, selection_of
from raysail.apiserver.store import ExpiredError, Record

_TOKEN_VERSION: Final = "meta.k8s.io/v1"  # noqa: S105 - a version
_MATCHES: Final = ("", "Exact", "NotOlderThan")


async def get(call: Call) -> Answer:
    """One object. With a resourceVersion, not one older than that."""
    wanted = call.query.get("resourceVersion", "")
    if wanted and wanted != "0":
        await reach(call, parse_version(wanted))
    return get_now(call)


def get_now(call: Call) -> Answer:
    """One object as it is. Raises StatusError (404)."""
    record = call.store.get(call.definition.collection, call.key)
    if record is None:
        raise absent(call)
    return forms.object_answer(call, record.data, stored=True)


def absent(call: Call) -> StatusError:
    """404 of the named object."""
    resource = call.definition.resource
    return not_found(resource.group, resource.plural, call.target.name)


@dataclass(frozen=True, slots=True)
class Position:
    """Where a list goes on: after `key`, as of `revision`."""

    revision: int
    key: str

    def token(self) -> str:
        """What clients hand back."""
        text = orjson.dumps({"v": _TOKEN_VERSION, "rv": self.revision, "start": self.key + "\0"})
        return base64.urlsafe_b64encode(text).rstrip(b"=").decode()

    @classmethod
    def parse(cls, token: str) -> Position:
        """The position of a token. Raises StatusError (400)."""
        try:
            value = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
            return cls(int(value["rv"]), str(value["start"]).removesuffix("\0"))
        except (ValueError, KeyError, TypeError, binascii.Error) as error:
            raise bad_request(f"continue key is not valid: {error}") from error


async def list_objects(call: Call) -> Answer:
    """A collection, or a page of it."""
    if call.target.name:
        raise bad_request("a list names no object")
    selection = selection_of(call)
    records, revision, after, remaining = await _page(call, selection)
    metadata: dict[str, Any] = {"resourceVersion": str(revision)}
    if after:
        metadata["continue"] = after
    elif call.definition.custom and call.form.kind == OBJECT:
        metadata["continue"] = ""
    if remaining:
        metadata["remainingItemCount"] = remaining
    return forms.list_answer(call, records, metadata)


async def _page(call: Call, selection: Selection) -> tuple[list[Record], int, str, int]:
    """The records of one page, their revision, the token of the next page and how many are left (0: not said)."""
    query = call.query
    limit = _limit(query.get("limit", ""))
    version, match, token = query.get("resourceVersion", ""), query.get("resourceVersionMatch", ""), query.get("continue", "")
    _check_match(query)
    if version == "0" and not token:
        limit = 0  # "any version" is answered from the cache, which does not page (cacher.go shouldDelegateList)
    start: Position | None = None
    revision: int | None = None
    if token:
        start = Position.parse(token)
        if version not in ("", "0"):
            raise bad_request("specifying resource version is not allowed when using continue")
        revision = start.revision if start.revision > 0 else None
    elif version and version != "0":
        wanted = parse_version(version)
        await reach(call, wanted)
        if match == "Exact" or (match == "" and limit):
            revision = wanted
    try:
        snapshot = call.store.snapshot(call.definition.collection, call.target.namespace, revision)
    except ExpiredError as error:
        raise _expired(start) from error
    records = snapshot.records
    if start is not None:
        records = [record for record in records if record.key > start.key]
    if not selection.everything:
        matches = selection.matcher(call.definition)
        records = [record for record in records if matches(record)]
    if not limit or len(records) <= limit:
        return records, snapshot.revision, "", 0
    page = records[:limit]
    remaining = len(records) - limit if selection.everything else 0
    return page, snapshot.revision, Position(snapshot.revision, page[-1].key).token(), remaining


def parse_version(text: str) -> int:
    """A resourceVersion as a number. Raises StatusError as kube-apiserver's storage does."""
    if not text.isascii() or not text.isdigit():
        raise bad_request(f"Invalid value: {text!r}: strconv.ParseUint: parsing {text!r}: invalid syntax".replace("'", '"'))
    return int(text)


async def reach(call: Call, revision: int) -> None:
    """Waits for a revision that is not there yet. Raises StatusError (504) when it does not come."""
    if not await call.store.reach(revision, call.shared.limits.future_version_seconds):
        raise StatusError(
            "Timeout",
            f"Too large resource version: {revision}, current: {call.store.revision}",
            504,
            causes=(Cause("ResourceVersionTooLarge", "Too large resource version"),),
            details={"retryAfterSeconds": 1},
        )


def _limit(text: str) -> int:
    try:
        limit = int(text) if text else 0
    except ValueError as error:
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax') from error
    return max(limit, 0)


def _check_match(query: Mapping[str, str]) -> None:
    """k8s.io/apimachinery pkg/apis/meta/internalversion/validation."""
    version, match, token = query.get("resourceVersion", ""), query.get("resourceVersionMatch", ""), query.get("continue", "")
    causes = []
    if match:
        if not version:
            causes.append(_forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden unless resourceVersion is provided"))
        if token:
            causes.append(_forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided"))
        if match not in _MATCHES:
            text = f'Unsupported value: "{match}": supported values: "Exact", "NotOlderThan", ""'
            causes.append(Cause("FieldValueNotSupported", text, "resourceVersionMatch"))
        elif match == "Exact" and version == "0":
            causes.append(_forbidden("resourceVersionMatch", 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"'))
    if query.get("sendInitialEvents"):
        causes.append(_forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    if causes:
        raise invalid("meta.k8s.io", "ListOptions", "", causes)


def _forbidden(field: str, text: str) -> Cause:
    return Cause("FieldValueForbidden", f"Forbidden: {text}", field)


def _expired(start: Position | None) -> StatusError:
    if start is None:
        return StatusError("Expired", "The resourceVersion for the provided list is too old.", 410)
    # The client may go on where it was, with what is there now.
    again = Position(-1, start.key).token()
    return StatusError(
        "Expired",
        "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, "
        "or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an "
        "inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.",
        410,
        metadata={"continue": again},
    )


def current(call: Call) -> dict[str, Any]:
    """The named object as the next write finds it, in the request's version. Raises StatusError (404)."""
    record = call.store.latest(call.definition.collection, call.key)
    if record is None:
        raise absent(call)
    return decoded(call.definition, record.object())

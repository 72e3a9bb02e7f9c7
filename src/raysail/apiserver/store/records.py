"""One object as the store keeps it, and one change of it as watches see it."""

from __future__ import annotations

from typing import Any

import msgspec


class Meta(msgspec.Struct, gc=False):
    """What selectors, owners and lists need of metadata, decoded without the rest of the object."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    labels: dict[str, str] | None = None
    deletionTimestamp: str | None = None  # noqa: N815 - the wire's name, so that decoding needs no table


class _Envelope(msgspec.Struct, gc=False):
    metadata: Meta


_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode = msgspec.json.Decoder().decode


class Record:
    """An object in one version: its JSON text (resourceVersion included) and the revision that wrote it."""

    __slots__ = ("_meta", "data", "key", "revision")

    def __init__(self, key: str, revision: int, data: bytes) -> None:
        self.key = key
        self.revision = revision
        self.data = data
        self._meta: Meta | None = None

    @property
    def meta(self) -> Meta:
        """Metadata, decoded on first use."""
        if self._meta is None:
            self._meta = _decode_envelope(self.data).metadata
        return self._meta

    @property
    def labels(self) -> dict[str, str]:
        """metadata.labels."""
        return self.meta.labels or {}

    def object(self) -> dict[str, Any]:
        """The object as a fresh dict that the caller may change."""
        found: dict[str, Any] = _decode(self.data)
        return found


class Change:
    """One write. `new` is None after a deletion; then `last` holds the object as it went, with the deletion's resourceVersion.

    `old` is what stood there before; watches with selectors need it to tell who enters and who leaves.
    `encoded` keeps each wire form of the event, so that a thousand watchers cost one encoding.
    """

    __slots__ = ("collection", "encoded", "key", "last", "new", "old", "revision")

    def __init__(self, collection: str, key: str, revision: int, old: Record | None, new: Record | None, last: Record) -> None:
        self.collection = collection
        self.key = key
        self.revision = revision
        self.old = old
        self.new = new
        self.last = last
        self.encoded: dict[Any, bytes] = {}

    @property
    def size_bytes(self) -> int:
        """What keeping this change costs: the text that only history still holds."""
        return 200 + len(self.last.data) + (len(self.old.data) if self.old else 0)

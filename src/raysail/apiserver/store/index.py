"""The current objects of one collection, by key and in key order."""

from __future__ import annotations

from bisect import bisect_left, insort

from raysail.apiserver.store.records import Record


class Collection:
    """Keys are `namespace/name`, or `name` for cluster-scoped kinds; their order is the order of lists (as in etcd, by bytes)."""

    __slots__ = ("keys", "records")

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.keys: list[str] = []

    def put(self, record: Record) -> None:
        """Adds or replaces."""
        if record.key not in self.records:
            insort(self.keys, record.key)
        self.records[record.key] = record

    def remove(self, key: str) -> None:
        """Removes; an absent key is left alone."""
        if self.records.pop(key, None) is not None:
            del self.keys[bisect_left(self.keys, key)]

    def scan(self, namespace: str = "") -> list[Record]:
        """All records in key order, of one namespace or of all."""
        return [self.records[key] for key in within(self.keys, namespace)]

    def count(self, namespace: str = "") -> int:
        """How many `scan` would give."""
        return len(within(self.keys, namespace))


def within(keys: list[str], namespace: str) -> list[str]:
    """The part of sorted keys that lies in the namespace; all keys when it is empty."""
    if not namespace:
        return keys
    return keys[bisect_left(keys, namespace + "/") : bisect_left(keys, namespace + "0")]  # "0" follows "/" in ASCII

"""Where objects live: bytes in RAM for reading, a log in SQLite for keeping.

A write is answered when it is on disk. Readers see only what is on disk; writers see also what is on its way there (`Store.latest`),
so a read-modify-write in one turn of the event loop needs no lock and no retry.
"""

from raysail.apiserver.store.records import Change, Record
from raysail.apiserver.store.store import ExpiredError, Snapshot, Store, StoreSettings

__all__ = ["Change", "ExpiredError", "Record", "Snapshot", "Store", "StoreSettings"]

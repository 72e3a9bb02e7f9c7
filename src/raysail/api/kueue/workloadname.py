"""The name of the Workload of a job (pkg/controller/jobframework/workload_names.go)."""

from __future__ import annotations

import hashlib
from typing import Final

MAX_NAME: Final = 253
MAX_SHORT_NAME: Final = 63
_HASH_LENGTH: Final = 5


def workload_name(kind: str, group: str, name: str, uid: str, extra: str = "", *, longest: int = MAX_NAME) -> str:
    """`<kind>-<name>-<hash>`, cut to fit: the same for the same job, in every process. `extra` tells slices of an elastic job apart."""
    return _hashed(f"{kind.lower()}-{name}", kind, group, name, uid, extra, longest)


def variant_name(kind: str, group: str, parent: str, uid: str, flavor: str, *, longest: int = MAX_NAME) -> str:
    """The name of a variant of a Workload that may use one flavor only (concurrent admission). `parent` is the Workload's own name."""
    base = parent.rpartition("-")[0]
    return _hashed(f"{base}-variant-{flavor}", kind, group, parent, uid, flavor, longest)


def _hashed(prefix: str, kind: str, group: str, name: str, uid: str, extra: str, longest: int) -> str:
    text = "\n".join([kind, group, name, uid, *([extra] if extra else [])])
    return f"{prefix[: longest - 1 - _HASH_LENGTH]}-{hashlib.sha1(text.encode()).hexdigest()[:_HASH_LENGTH]}"  # noqa: S324 - Kueue's names, not security

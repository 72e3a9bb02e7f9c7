"""visibility.kueue.x-k8s.io: who waits in a queue, in order (apis/visibility/v1beta2/types.go)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from msgspec import field

from raysail.api.go_parse import parse_int
from raysail.api.meta import ObjectMeta, View

GROUP: Final = "visibility.kueue.x-k8s.io"
VERSIONS: Final = ("v1beta2", "v1beta1")
DEFAULT_LIMIT: Final = 1000
MOST_WORKLOADS: Final = 100_000
"""More are not returned in one answer, whatever `limit` says."""


class PendingWorkload(View, frozen=True):
    """One that waits. Positions count from 0."""

    metadata: ObjectMeta = ObjectMeta()
    priority: int = 0
    local_queue_name: str = ""
    position_in_cluster_queue: int = 0
    position_in_local_queue: int = 0


class PendingWorkloadsSummary(View, frozen=True):
    """Those that wait, in order."""

    items: list[PendingWorkload] = field(default_factory=list)


class PendingWorkloadsOptions(NamedTuple):
    """Which part of the list is wanted."""

    offset: int = 0
    limit: int = DEFAULT_LIMIT


def pending_workloads_options(query: Mapping[str, Sequence[str]]) -> PendingWorkloadsOptions:
    """From a request's query parameters. Raises ValueError on what is not a number."""
    offset, limit = (parse_int(values[0], "ParseInt") if (values := query.get(name)) else 0 for name in ("offset", "limit"))
    return PendingWorkloadsOptions(offset, limit or DEFAULT_LIMIT)

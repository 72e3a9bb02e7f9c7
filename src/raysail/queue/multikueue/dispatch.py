"""Which clusters a Workload is offered to next: the incremental dispatcher. Pure.

Source: Kueue pkg/controller/workloaddispatcher/incrementaldispatcher.go, pkg/workload/workload.go (ShouldSkipClusterNomination).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from raysail.api.kueue import Workload
from raysail.api.kueue.names import ELASTIC_JOB_ANNOTATION
from raysail.api.kueue.workload import AdmissionCheckState
from raysail.queue.lifecycle.status import PENDING

ROUND: Final = timedelta(minutes=5)
"""How long the clusters of one round have before more are asked."""


class NoMoreClustersError(Exception):
    """All clusters have been nominated already."""


@dataclass(frozen=True, slots=True)
class Nomination:
    """All clusters that are to be nominated from now on (None: as they are), and when to look again in seconds."""

    clusters: list[str] | None = None
    again: float | None = None


def is_elastic(workload: Workload) -> bool:
    """Whether its job may change its size while it runs."""
    return (workload.metadata.annotations or {}).get(ELASTIC_JOB_ANNOTATION) == "true"


def is_settled(check: AdmissionCheckState | None, workload: Workload) -> bool:
    """Whether no cluster is to be nominated: its check is not pending, or it still has the cluster that an eviction is to take away."""
    if check is None or check.state != PENDING:
        return True
    return not is_elastic(workload) and workload.status.cluster_name is not None


def next_round(
    workload: Workload, clusters: Sequence[str], started: datetime | None, now: datetime, *, step_size: int, in_order: bool = True
) -> Nomination:
    """The clusters nominated so far and as many more as a step has, once the round is over. Raises NoMoreClustersError.

    `clusters` in order of preference; without `in_order` by name. `started`: when the last round began.
    """
    if started is not None and now - started <= ROUND:
        return Nomination(again=(ROUND - (now - started)).total_seconds())
    nominated = workload.status.nominated_cluster_names or []
    left = [name for name in clusters if name not in nominated]
    if not in_order:
        left.sort()
    if not left:
        raise NoMoreClustersError("no more workers to nominate")
    return Nomination([*nominated, *left[:step_size]])

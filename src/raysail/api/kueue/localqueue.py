"""LocalQueue: where the jobs of a namespace line up for a ClusterQueue."""

from __future__ import annotations

from typing import Annotated, Final

from raysail.api.kueue.clusterqueue import STOP_POLICY
from raysail.api.kueue.fairsharing import FairSharing, LocalQueueFairSharingStatus
from raysail.api.kueue.names import V1BETA2, Reference
from raysail.api.meta import Condition, Object, View
from raysail.api.quantity import Quantity
from raysail.api.structural import Field, Rule

ACTIVE: Final = "Active"

# Reasons of Active
READY: Final = "Ready"
STOPPED: Final = "Stopped"
CLUSTER_QUEUE_DOES_NOT_EXIST: Final = "ClusterQueueDoesNotExist"
CLUSTER_QUEUE_IS_INACTIVE: Final = "ClusterQueueIsInactive"


class LocalQueueSpec(View, frozen=True):
    """Which ClusterQueue, and whether it is open."""

    cluster_queue: Annotated[
        Reference,
        Field("The ClusterQueue. Cannot be changed.", rules=(Rule("self == oldSelf", "field is immutable"),)),
    ] = ""
    stop_policy: Annotated[str | None, STOP_POLICY] = None
    fair_sharing: Annotated[FairSharing | None, Field("Weight between the LocalQueues of a ClusterQueue.")] = None


class LocalQueueResourceUsage(View, frozen=True):
    """Use of one resource."""

    name: Annotated[str, Field("The resource.", required=True)] = ""
    total: Annotated[Quantity, Field("In use.")] = 0


class LocalQueueFlavorUsage(View, frozen=True):
    """Use of one flavor."""

    name: Annotated[Reference, Field("The ResourceFlavor.", required=True)] = ""
    resources: Annotated[
        list[LocalQueueResourceUsage] | None,
        Field("Use by resource.", required=True, list_type="map", list_map_keys=("name",), max_items=64),
    ] = None


class LocalQueueStatus(View, frozen=True):
    """What was observed of a LocalQueue."""

    conditions: Annotated[
        list[Condition] | None,
        Field("Active says whether its jobs can be admitted.", list_type="map", list_map_keys=("type",), max_items=16, bounds_in=V1BETA2),
    ] = None
    pending_workloads: Annotated[int | None, Field("Jobs that wait.")] = None
    reserving_workloads: Annotated[int | None, Field("Jobs that hold quota.")] = None
    admitted_workloads: Annotated[int | None, Field("Jobs that are admitted and not finished.")] = None
    flavors_reservation: Annotated[
        list[LocalQueueFlavorUsage] | None,
        Field("Use by jobs that hold quota.", list_type="map", list_map_keys=("name",), max_items=64),
    ] = None
    flavors_usage: Annotated[
        list[LocalQueueFlavorUsage] | None,
        Field("Use by jobs that are admitted.", list_type="map", list_map_keys=("name",), max_items=64, versions=V1BETA2),
    ] = None
    fair_sharing: Annotated[LocalQueueFairSharingStatus | None, Field("The share now, when fair sharing is on.")] = None


class LocalQueue(Object, frozen=True):
    """Where the jobs of a namespace line up for a ClusterQueue."""

    spec: Annotated[LocalQueueSpec, Field("Which ClusterQueue, and whether it is open.")] = LocalQueueSpec()
    status: Annotated[LocalQueueStatus, Field("What was observed.")] = LocalQueueStatus()

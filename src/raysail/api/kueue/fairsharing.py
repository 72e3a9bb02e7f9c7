"""Weights and shares for fair sharing."""

from __future__ import annotations

from typing import Annotated

from raysail.api.meta import View
from raysail.api.quantity import Quantity
from raysail.api.structural import Field, Int64, Time


class FairSharing(View, frozen=True):
    """How much of the shared quota is due."""

    weight: Annotated[
        Quantity | None,
        Field("Share against the neighbours: twice the weight, twice the share. 0 borrows last and is preempted first.", default=1),
    ] = None


class FairSharingStatus(View, frozen=True):
    """The share now."""

    weighted_share: Annotated[
        Int64,
        Field("Largest use above nominal quota over what can be borrowed, in thousandths, divided by the weight.", required=True),
    ] = 0


class AdmissionFairSharingStatus(View, frozen=True):
    """What a LocalQueue used lately."""

    consumed_resources: Annotated[dict[str, Quantity] | None, Field("Use by resource, fading with time.", required=True)] = None
    last_update: Annotated[Time, Field("When that was computed.", required=True)] = ""


class LocalQueueFairSharingStatus(FairSharingStatus, frozen=True):
    """The share of a LocalQueue now."""

    admission_fair_sharing_status: Annotated[AdmissionFairSharingStatus | None, Field("What the LocalQueue used lately.")] = None

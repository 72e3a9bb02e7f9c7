"""Cohort: queues that lend each other what they do not use; cohorts form trees."""

from __future__ import annotations

from typing import Annotated

from raysail.api.kueue.clusterqueue import RESOURCE_GROUP, ResourceGroup
from raysail.api.kueue.fairsharing import FairSharing, FairSharingStatus
from raysail.api.kueue.names import Reference
from raysail.api.meta import Object, View
from raysail.api.structural import Field


class CohortSpec(View, frozen=True):
    """Where the cohort is in the tree, and what it adds."""

    parent_name: Annotated[Reference, Field("The cohort above; none where absent.")] = ""
    resource_groups: Annotated[
        list[Annotated[ResourceGroup, RESOURCE_GROUP]] | None,
        Field("Quota for all queues below, besides their own.", list_type="atomic", max_items=16),
    ] = None
    fair_sharing: Annotated[FairSharing | None, Field("Weight when fair sharing is on.")] = None


class CohortStatus(View, frozen=True):
    """What was observed of a Cohort."""

    fair_sharing: Annotated[FairSharingStatus | None, Field("The share now, when fair sharing is on.")] = None


class Cohort(Object, frozen=True):
    """Queues that lend each other what they do not use."""

    spec: Annotated[CohortSpec, Field("Where the cohort is in the tree, and what it adds.")] = CohortSpec()
    status: Annotated[CohortStatus, Field("What was observed.")] = CohortStatus()

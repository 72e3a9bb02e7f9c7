"""WorkloadPriorityClass: a name for a place in the queue, without effect on Pods."""

from __future__ import annotations

from typing import Annotated

from raysail.api.kueue.names import V1BETA2
from raysail.api.meta import Object
from raysail.api.structural import Field


class WorkloadPriorityClass(Object, frozen=True):
    """A name for a place in the queue; Pods' own priority is not touched."""

    value: Annotated[int, Field("The priority; higher goes first.", required=True)] = 0
    description: Annotated[str, Field("What the class is for.", max_length=2048, bounds_in=V1BETA2)] = ""

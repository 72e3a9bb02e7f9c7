"""AdmissionCheck: a further condition for admission, watched by a controller of its own."""

from __future__ import annotations

from typing import Annotated, Final

from raysail.api.kueue.names import V1BETA2
from raysail.api.meta import Condition, Object, View
from raysail.api.structural import DNS_LABEL, DNS_SUBDOMAIN, Field, Rule

ACTIVE: Final = "Active"

# States of a check in a Workload
PENDING: Final = "Pending"
READY: Final = "Ready"
RETRY: Final = "Retry"
REJECTED: Final = "Rejected"


class AdmissionCheckParametersReference(View, frozen=True):
    """The object with the check's settings."""

    api_group: Annotated[str, Field("API group.", required=True, min_length=1, max_length=253, pattern=DNS_SUBDOMAIN)] = ""
    kind: Annotated[str, Field("Kind.", required=True, min_length=1, max_length=63, pattern=r"^(?i)[a-z]([-a-z0-9]*[a-z0-9])?$")] = ""
    name: Annotated[str, Field("Name.", required=True, min_length=1, max_length=63, pattern=DNS_LABEL)] = ""


class AdmissionCheckSpec(View, frozen=True):
    """Who checks, with which settings."""

    controller_name: Annotated[
        str,
        Field(
            "The controller that decides. Cannot be changed.",
            required=True,
            min_length=1,
            max_length=253,
            bounds_in=V1BETA2,
            rules=(Rule("self == oldSelf", "field is immutable"),),
        ),
    ] = ""
    parameters: Annotated[AdmissionCheckParametersReference | None, Field("The object with the check's settings.")] = None


class AdmissionCheckStatus(View, frozen=True):
    """What was observed of an AdmissionCheck."""

    conditions: Annotated[
        list[Condition] | None,
        Field("Active says whether its controller is ready.", list_type="map", list_map_keys=("type",), max_items=16, bounds_in=V1BETA2),
    ] = None


class AdmissionCheck(Object, frozen=True):
    """A further condition for admission, decided by a controller of its own."""

    spec: Annotated[AdmissionCheckSpec, Field("Who checks, with which settings.")] = AdmissionCheckSpec()
    status: Annotated[AdmissionCheckStatus, Field("What was observed.")] = AdmissionCheckStatus()

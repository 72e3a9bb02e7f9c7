"""ProvisioningRequestConfig: how an AdmissionCheck asks the cluster autoscaler for nodes."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import field

from raysail.api.meta import Object, View
from raysail.api.structural import DNS_SUBDOMAIN, QUALIFIED_NAME, Field

IDENTICAL_POD_TEMPLATES: Final = "IdenticalPodTemplates"
IDENTICAL_WORKLOAD_SCHEDULING_REQUIREMENTS: Final = "IdenticalWorkloadSchedulingRequirements"


class RetryStrategy(View, frozen=True):
    """How often and how long apart a failed request is tried again."""

    backoff_limit_count: Annotated[int | None, Field("Tries.", default=3)] = None
    backoff_base_seconds: Annotated[int | None, Field("Seconds before the first retry; doubled each time.", default=60)] = None
    backoff_max_seconds: Annotated[int | None, Field("At most so many seconds between retries.", default=1800)] = None


class NodeSelectorUpdate(View, frozen=True):
    """A label taken from the answer."""

    key: Annotated[str, Field("The node label.", required=True, min_length=1, max_length=317, pattern=QUALIFIED_NAME)] = ""
    value_from_provisioning_class_detail: Annotated[
        str, Field("Key of the request's provisioningClassDetails whose value is used.", required=True, min_length=1, max_length=32768)
    ] = ""


class ProvisioningRequestPodSetUpdates(View, frozen=True):
    """What the answer changes in the job's Pods."""

    node_selector: Annotated[
        list[NodeSelectorUpdate] | None, Field("Node selector to add.", list_type="map", list_map_keys=("key",), max_items=8)
    ] = None


class ProvisioningRequestConfigSpec(View, frozen=True):
    """How to ask for nodes."""

    provisioning_class_name: Annotated[
        str,
        Field(
            "How nodes are provisioned, e.g. check-capacity.autoscaling.x-k8s.io.",
            required=True,
            min_length=1,
            max_length=253,
            pattern=DNS_SUBDOMAIN,
        ),
    ] = ""
    parameters: Annotated[
        dict[str, Annotated[str, Field(max_length=255)]] | None, Field("Passed to the provisioner.", max_properties=100)
    ] = None
    managed_resources: Annotated[
        list[str] | None,
        Field("Ask only for Pods that need one of these resources; for all where absent.", list_type="set", max_items=100),
    ] = None
    retry_strategy: Annotated[
        RetryStrategy | None,
        Field(
            "How a failed request is tried again.", default={"backoffLimitCount": 3, "backoffBaseSeconds": 60, "backoffMaxSeconds": 1800}
        ),
    ] = None
    pod_set_updates: Annotated[ProvisioningRequestPodSetUpdates | None, Field("What the answer changes in the job's Pods.")] = None
    pod_set_merge_policy: Annotated[
        str | None,
        Field(
            "Which pod sets go into the request as one.",
            enum=(IDENTICAL_POD_TEMPLATES, IDENTICAL_WORKLOAD_SCHEDULING_REQUIREMENTS),
        ),
    ] = None


class ProvisioningRequestConfig(Object, frozen=True):
    """How an AdmissionCheck asks the cluster autoscaler for nodes."""

    spec: Annotated[ProvisioningRequestConfigSpec, Field("How to ask for nodes.")] = field(default_factory=ProvisioningRequestConfigSpec)

"""MultiKueue: clusters to which jobs are handed on."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import field

from raysail.api.kueue.names import V1BETA2
from raysail.api.meta import Condition, Object, View
from raysail.api.structural import Field, Rule

ACTIVE: Final = "Active"
KUBECONFIG_SECRET_KEY: Final = "kubeconfig"  # noqa: S105
SECRET: Final = "Secret"  # noqa: S105
PATH: Final = "Path"
MANUAL: Final = "Manual"
AUTOMATED: Final = "Automated"


class KubeConfig(View, frozen=True):
    """Where the access to a cluster is kept."""

    location: Annotated[
        str,
        Field("Name of a Secret, or a path, according to locationType.", required=True, min_length=1, max_length=256, bounds_in=V1BETA2),
    ] = ""
    location_type: Annotated[str, Field("Secret or Path.", required=("v1beta1",), default=SECRET, enum=(SECRET, PATH))] = SECRET


class ClusterProfileReference(View, frozen=True):
    """A ClusterProfile."""

    name: Annotated[str, Field("Its name.", required=True, min_length=1, max_length=256)] = ""


class ClusterSource(View, frozen=True):
    """How to reach a cluster; one member is set."""

    kube_config: Annotated[KubeConfig | None, Field("A kubeconfig.")] = None
    cluster_profile_ref: Annotated[ClusterProfileReference | None, Field("A ClusterProfile (alpha).")] = None


class MultiKueueClusterSpec(View, frozen=True):
    """How to reach the cluster."""

    cluster_source: Annotated[
        ClusterSource,
        Field(
            "How to reach the cluster.",
            required=True,
            versions=V1BETA2,
            rules=(
                Rule(
                    "[has(self.kubeConfig),has(self.clusterProfileRef)].filter(x,x==true).size() == 1",
                    "exactly one of the fields in [kubeConfig clusterProfileRef] must be set",
                ),
            ),
        ),
    ] = ClusterSource()


class MultiKueueClusterStatus(View, frozen=True):
    """What was observed of a MultiKueueCluster."""

    conditions: Annotated[
        list[Condition] | None,
        Field("Active says whether it answers.", list_type="map", list_map_keys=("type",), max_items=16, bounds_in=V1BETA2),
    ] = None


class MultiKueueCluster(Object, frozen=True):
    """A cluster to which jobs are handed on."""

    spec: Annotated[MultiKueueClusterSpec, Field("How to reach the cluster.")] = MultiKueueClusterSpec()
    status: Annotated[MultiKueueClusterStatus, Field("What was observed.")] = MultiKueueClusterStatus()


class MultiKueueConfigSpec(View, frozen=True):
    """Which clusters."""

    clusters: Annotated[
        list[Annotated[str, Field(max_length=256, bounds_in=V1BETA2)]],
        Field(
            "MultiKueueClusters in order of preference.",
            required=True,
            list_type="atomic",
            min_items=1,
            max_items=20,
            rules=(Rule("size(self.filter(i, size(self.filter(j, j == i)) > 1)) == 0", "must be unique"),),
        ),
    ] = field(default_factory=list)
    quota_management: Annotated[
        str | None,
        Field("Automated sums up the clusters' quotas (alpha), Manual does not.", enum=(MANUAL, AUTOMATED), versions=V1BETA2),
    ] = None


class MultiKueueConfig(Object, frozen=True):
    """Clusters for an AdmissionCheck to choose from."""

    spec: Annotated[MultiKueueConfigSpec, Field("Which clusters.")] = MultiKueueConfigSpec()

"""ResourceFlavor: a kind of node, by labels and taints."""

from __future__ import annotations

from typing import Annotated, Final

from raysail.api.core.scheduling import Taint, Toleration
from raysail.api.kueue.names import Reference
from raysail.api.meta import Object, View
from raysail.api.structural import Field, Rule

_EFFECTS: Final = "supported taint effect values: 'NoSchedule', 'PreferNoSchedule', 'NoExecute'"
TOLERATION_RULES: Final = (
    Rule(
        "self.all(x, !has(x.key) ? x.operator == 'Exists' : true)",
        "operator must be Exists when 'key' is empty, which means 'match all values and all keys'",
    ),
    Rule(
        "self.all(x, has(x.tolerationSeconds) ? x.effect == 'NoExecute' : true)",
        "effect must be 'NoExecute' when 'tolerationSeconds' is set",
    ),
    Rule("self.all(x, !has(x.operator) || x.operator in ['Equal', 'Exists'])", "supported toleration values: 'Equal'(default), 'Exists'"),
    Rule(
        "self.all(x, has(x.operator) && x.operator == 'Exists' ? !has(x.value) : true)",
        "a value must be empty when 'operator' is 'Exists'",
    ),
    Rule("self.all(x, !has(x.effect) || x.effect in ['NoSchedule', 'PreferNoSchedule', 'NoExecute'])", _EFFECTS),
)
KueueToleration = Annotated[Toleration, Field(builtin="io.k8s.api.core.v1.Toleration")]


class ResourceFlavorSpec(View, frozen=True):
    """Which nodes the flavor stands for."""

    node_labels: Annotated[
        dict[str, str] | None,
        Field("Labels of the nodes. Jobs that get this flavor are given them as a node selector.", map_type="atomic", max_properties=8),
    ] = None
    node_taints: Annotated[
        list[Annotated[Taint, Field(builtin="io.k8s.api.core.v1.Taint")]] | None,
        Field(
            "Taints of the nodes; only jobs that tolerate them get this flavor.",
            list_type="atomic",
            max_items=8,
            rules=(Rule("self.all(x, x.effect in ['NoSchedule', 'PreferNoSchedule', 'NoExecute'])", _EFFECTS),),
        ),
    ] = None
    tolerations: Annotated[
        list[KueueToleration] | None,
        Field("Tolerations that jobs with this flavor are given.", list_type="atomic", max_items=8, rules=TOLERATION_RULES),
    ] = None
    topology_name: Annotated[Reference | None, Field("The Topology of these nodes. Cannot be changed once set.")] = None


SPEC_RULES: Final = (
    Rule("!has(self.topologyName) || self.nodeLabels.size() >= 1", "at least one nodeLabel is required when topology is set"),
    Rule(
        "!has(oldSelf.topologyName) || (has(self.topologyName) && self.topologyName == oldSelf.topologyName)",
        "topologyName is immutable when topologyName is set",
    ),
)


class ResourceFlavor(Object, frozen=True):
    """A kind of node, by labels and taints. Quotas are given per flavor."""

    spec: Annotated[ResourceFlavorSpec, Field("Which nodes the flavor stands for.", rules=SPEC_RULES)] = ResourceFlavorSpec()

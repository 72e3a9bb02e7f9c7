"""Topology: how nodes are grouped, from data centre down to host, as node labels."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import field

from raysail.api.meta import Object, View
from raysail.api.structural import QUALIFIED_NAME, Field, Rule

UNIQUE_LEVELS: Final = Rule("size(self.filter(i, size(self.filter(j, j == i)) > 1)) == 0", "must be unique")
HOSTNAME_LAST: Final = Rule(
    "size(self.filter(i, i.nodeLabel == 'kubernetes.io/hostname')) == 0 || self[size(self) - 1].nodeLabel == 'kubernetes.io/hostname'",
    "the kubernetes.io/hostname label can only be used at the lowest level of topology",
)


class TopologyLevel(View, frozen=True):
    """One level."""

    node_label: Annotated[
        str,
        Field("Label whose value names the group that a node is in.", required=True, min_length=1, max_length=316, pattern=QUALIFIED_NAME),
    ] = ""


class TopologySpec(View, frozen=True):
    """The levels."""

    levels: Annotated[
        list[TopologyLevel],
        Field(
            "Levels from the widest to the narrowest.",
            required=True,
            list_type="atomic",
            min_items=1,
            max_items=16,
            rules=(
                Rule(
                    "self == oldSelf || (self[size(self) - 1].nodeLabel == 'kubernetes.io/hostname' && oldSelf[size(oldSelf) - 1].nodeLabel == "
                    "'kubernetes.io/hostname')",
                    "levels are mutable only when kubernetes.io/hostname is the lowest level both before and after the change",
                ),
                UNIQUE_LEVELS,
                HOSTNAME_LAST,
            ),
        ),
    ] = field(default_factory=list)


class Topology(Object, frozen=True):
    """How nodes are grouped, from data centre down to host."""

    spec: Annotated[TopologySpec, Field("The levels.")] = TopologySpec()

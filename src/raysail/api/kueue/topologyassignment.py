"""Where the Pods of a pod set go in a topology, in the compressed form of v1beta2."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import field

from raysail.api.meta import View
from raysail.api.structural import Field, Rule


class IndividualValues(View, frozen=True):
    """One value per domain: prefix + root + suffix."""

    prefix: Annotated[str | None, Field("What all values begin with.", max_length=63)] = None
    suffix: Annotated[str | None, Field("What all values end with.", max_length=63)] = None
    roots: Annotated[
        list[Annotated[str, Field(max_length=63)]],
        Field("The middle of each value.", required=True, list_type="atomic", min_items=1, max_items=100000),
    ] = field(default_factory=list)


class LevelValues(View, frozen=True):
    """Values of one level, either the same for all domains or one for each."""

    universal: Annotated[str | None, Field("The value of all domains.", max_length=63)] = None
    individual: Annotated[IndividualValues | None, Field("The value of each domain.")] = None


class PodCounts(View, frozen=True):
    """Pods per domain, either the same for all or one number for each."""

    universal: Annotated[int | None, Field("Pods in every domain.", minimum=1)] = None
    individual: Annotated[
        list[Annotated[int, Field(minimum=1)]] | None,
        Field("Pods in each domain.", list_type="atomic", min_items=1, max_items=100000),
    ] = None


_LEVEL_VALUES: Final = Field(
    rules=(Rule("has(self.universal) != has(self.individual)", "exactly one of the fields in [universal individual] must be set"),)
)


class TopologyAssignmentSlice(View, frozen=True):
    """Some of the domains."""

    domain_count: Annotated[int, Field("Domains in this slice.", required=True, minimum=1)] = 0
    values_per_level: Annotated[
        list[Annotated[LevelValues, _LEVEL_VALUES]],
        Field("Values of the domains, level by level.", required=True, list_type="atomic", min_items=1, max_items=16),
    ] = field(default_factory=list)
    pod_counts: Annotated[
        PodCounts,
        Field(
            "Pods per domain.",
            required=True,
            rules=(
                Rule(
                    "[has(self.universal),has(self.individual)].filter(x,x==true).size() == 1",
                    "exactly one of the fields in [universal individual] must be set",
                ),
            ),
        ),
    ] = PodCounts()


SLICE: Final = Field(
    rules=(
        Rule(
            "!has(self.podCounts.individual) || size(self.podCounts.individual) == self.domainCount",
            "podCounts.individual must have length equal to domainCount",
        ),
        Rule(
            "self.valuesPerLevel.all(x, !has(x.individual) || size(x.individual.roots) == self.domainCount)",
            "valuesPerLevel.individual, if set, must have roots of length equal to domainCount of this TopologyAssignmentSlice",
        ),
    )
)
ASSIGNMENT: Final = Field(
    "Where the Pods go.",
    rules=(
        Rule(
            "self.slices.all(x, size(x.valuesPerLevel) == size(self.levels))",
            "valuesPerLevel must have the same length as the number of levels in this TopologyAssignment",
        ),
    ),
)


class TopologyAssignment(View, frozen=True):
    """Where the Pods of a pod set go."""

    levels: Annotated[
        list[Annotated[str, Field(max_length=317)]],
        Field("Node labels, from the widest to the narrowest.", required=True, list_type="atomic", min_items=1, max_items=16),
    ] = field(default_factory=list)
    slices: Annotated[
        list[Annotated[TopologyAssignmentSlice, SLICE]],
        Field("The domains.", required=True, list_type="atomic", max_items=1000),
    ] = field(default_factory=list)

"""Which of Kueue's feature gates about placement are on. Defaults are Kueue's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Profile:
    """How domains are chosen."""

    enabled: bool = True
    """Whether topology counts at all (TopologyAwareScheduling)."""
    mixed: bool = True
    """Unconstrained pod sets fill the fullest domains first (TASProfileMixed)."""
    balanced: bool = False
    """Preferred levels get equal shares where possible (TASBalancedPlacement)."""
    preferred_affinity: bool = False
    """Preferred node affinity orders domains (TASRespectNodeAffinityPreferred)."""
    elastic: bool = False
    """A slice of an elastic job keeps the places of the one it replaces (ElasticJobsViaWorkloadSlicesWithTAS)."""
    keep_single_pods: bool = True
    """A workload that is one Pod is not given another node: the Pod cannot move (SkipReassignmentForPodOwnedWorkloads)."""
    overlapping: bool = True
    """Flavors that share nodes see each other's usage there (TASHandleOverlappingFlavors)."""
    hostname_prefix: bool = True
    """Assignments are written by runs of host names with a common prefix (TASAssignmentsEncodingByHostnamePrefix)."""
    fail_fast: bool = True
    """A workload whose failed node cannot be replaced at once is evicted (TASFailedNodeReplacementFailFast)."""
    recompute: bool = True
    """A placement that another workload took in the same round is looked for again (TASRecomputeAssignmentWithinSchedulingCycle)."""

    @classmethod
    def from_gates(cls, gates: Mapping[str, bool]) -> Profile:
        """From feature gates by their names."""
        return cls(**{field: gates[gate] for field, gate in _GATES.items() if gate in gates})

    def fullest_first(self, *, unconstrained: bool) -> bool:
        """Whether the least free domain that fits is taken (else the best fit)."""
        return unconstrained and self.mixed


_GATES = {
    "enabled": "TopologyAwareScheduling",
    "mixed": "TASProfileMixed",
    "balanced": "TASBalancedPlacement",
    "preferred_affinity": "TASRespectNodeAffinityPreferred",
    "elastic": "ElasticJobsViaWorkloadSlicesWithTAS",
    "keep_single_pods": "SkipReassignmentForPodOwnedWorkloads",
    "overlapping": "TASHandleOverlappingFlavors",
    "hostname_prefix": "TASAssignmentsEncodingByHostnamePrefix",
    "fail_fast": "TASFailedNodeReplacementFailFast",
    "recompute": "TASRecomputeAssignmentWithinSchedulingCycle",
}

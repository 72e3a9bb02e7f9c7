"""Kueue's feature gates that other settings hang on: their defaults, and which needs which (pkg/features, 0.20 line)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from raysail.api.causes import invalid
from raysail.api.errors import Cause

DEFAULTS: Final[Mapping[str, bool]] = {
    "ElasticJobsViaWorkloadSlices": True,
    "ElasticJobsViaWorkloadSlicesWithTAS": False,
    "KueueDRAIntegration": True,
    "KueueDRAIntegrationConsumableCapacity": False,
    "KueueDRAIntegrationExtendedResource": True,
    "KueueDRAIntegrationPartitionableDevices": True,
    "QuotaCheckStrategy": True,
    "TASBalancedPlacement": False,
    "TASFailedNodeReplacement": True,
    "TASFailedNodeReplacementFailFast": True,
    "TASHandleOverlappingFlavors": True,
    "TASMultiLayerTopology": True,
    "TASProfileMixed": True,
    "TASRecomputeAssignmentWithinSchedulingCycle": True,
    "TASReplaceNodeOnNodeTaints": True,
    "TASReplaceNodeOnPodTermination": True,
    "TASRespectNodeAffinityPreferred": False,
    "TopologyAwareScheduling": True,
}

NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    "ElasticJobsViaWorkloadSlicesWithTAS": ("ElasticJobsViaWorkloadSlices", "TopologyAwareScheduling"),
    "KueueDRAIntegrationConsumableCapacity": ("KueueDRAIntegration",),
    "KueueDRAIntegrationExtendedResource": ("KueueDRAIntegration",),
    "KueueDRAIntegrationPartitionableDevices": ("KueueDRAIntegration",),
    "TASBalancedPlacement": ("TopologyAwareScheduling",),
    "TASFailedNodeReplacement": ("TopologyAwareScheduling",),
    "TASFailedNodeReplacementFailFast": ("TASFailedNodeReplacement",),
    "TASHandleOverlappingFlavors": ("TopologyAwareScheduling",),
    "TASMultiLayerTopology": ("TopologyAwareScheduling",),
    "TASProfileMixed": ("TopologyAwareScheduling",),
    "TASRecomputeAssignmentWithinSchedulingCycle": ("TopologyAwareScheduling",),
    "TASReplaceNodeOnNodeTaints": ("TopologyAwareScheduling",),
    "TASReplaceNodeOnPodTermination": ("TASFailedNodeReplacement",),
    "TASRespectNodeAffinityPreferred": ("TopologyAwareScheduling",),
}


def is_on(name: str, gates: Mapping[str, bool]) -> bool:
    """Whether a gate is on; `gates` are those that were set."""
    return gates.get(name, DEFAULTS.get(name, False))


def gate_faults(gates: Mapping[str, bool]) -> list[Cause]:
    """A fault when a gate is on whose needs are off (explicitly, or by default)."""
    texts = []
    for name, needed in NEEDS.items():
        missing = [other for other in needed if not is_on(other, gates)]
        if is_on(name, gates) and missing:
            texts.append(f"{name} is enabled, but depends on features that are disabled: [{' '.join(missing)}]")
    return [invalid("featureGates", dict(gates), "; ".join(texts))] if texts else []

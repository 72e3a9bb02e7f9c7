"""What of Kueue's Configuration decides which metrics are told (`metrics`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from raysail.api.selectors import Selector


@dataclass(frozen=True, slots=True)
class MetricsSettings:
    """Quotas and use of ClusterQueues (`enableClusterQueueResources`) only where asked for; LocalQueues all, or those whose labels the selector takes."""

    cluster_queue_resources: bool = False
    local_queues: bool = True
    local_queue_selector: Selector | None = None

    def tells(self, labels: Mapping[str, str] | None) -> bool:
        """Whether a LocalQueue with these labels has metrics."""
        return self.local_queues and (self.local_queue_selector is None or self.local_queue_selector.matches(labels or {}))

"""What can be set about MultiKueue: the section multiKueue of Kueue's Configuration."""

from __future__ import annotations

from dataclasses import dataclass

from raysail.api.kueue.configuration import ALL_AT_ONCE_DISPATCHER, INCREMENTAL_DISPATCHER


@dataclass(frozen=True, slots=True)
class MultiKueueSettings:
    """Defaults are Kueue's. `secrets_namespace`: where the Secrets with kubeconfigs are."""

    origin: str = "multikueue"
    worker_lost_seconds: float = 900
    gc_interval_seconds: float = 60
    dispatcher: str = ALL_AT_ONCE_DISPATCHER
    step_size: int = 3
    secrets_namespace: str = "kueue-system"

    @property
    def all_at_once(self) -> bool:
        """Whether all clusters are tried at the same time."""
        return self.dispatcher == ALL_AT_ONCE_DISPATCHER

    @property
    def incremental(self) -> bool:
        """Whether clusters are tried a few at a time."""
        return self.dispatcher == INCREMENTAL_DISPATCHER

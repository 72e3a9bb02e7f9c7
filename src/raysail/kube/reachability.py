"""Whether the API server answers, said once for all the informers that notice it together."""

from __future__ import annotations

import logging
from collections.abc import Hashable

logger = logging.getLogger(__name__)


class Reachability:
    """Collects who has lost the API server; logs the first loss and the full recovery, not each informer's."""

    def __init__(self) -> None:
        self._lost: set[Hashable] = set()
        self.error = ""

    @property
    def reachable(self) -> bool:
        """Whether nobody misses the server."""
        return not self._lost

    def lost(self, who: Hashable, error: Exception) -> None:
        """`who` could not talk to the server."""
        if not self._lost:
            logger.warning("the API server is away, trying on: %s", error)
        self.error = str(error)
        self._lost.add(who)

    def restored(self, who: Hashable) -> None:
        """`who` has an answer again."""
        if who in self._lost:
            self._lost.discard(who)
            if not self._lost:
                self.error = ""
                logger.warning("the API server is back")

    def forget(self, who: Hashable) -> None:
        """`who` does not ask any more."""
        self._lost.discard(who)

"""How long to wait before trying again."""

from __future__ import annotations

import random
from dataclasses import dataclass, field


@dataclass(slots=True)
class Backoff:
    """Doubling waits from `first` to `longest` seconds, each made up to a quarter longer by chance so that many waiters do not come at once."""

    first: float = 0.1
    longest: float = 5.0
    jitter: float = 0.25
    random: random.Random = field(default_factory=random.Random)
    _tries: int = 0

    def next(self) -> float:
        """Seconds to wait now."""
        wait: float = min(self.longest, self.first * 2 ** min(self._tries, 32))
        self._tries += 1
        return wait * (1 + self.jitter * self.random.random())

    @property
    def tries(self) -> int:
        """How often it failed in a row."""
        return self._tries

    def reset(self) -> None:
        """It worked: the next failure waits `first` again."""
        self._tries = 0

"""All runs of a Pod's containers, in memory and on disk: what has begun, what has ended, what is kept of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from raysail.node import records
from raysail.node.observed import Attempt, Phase


class Runs:
    """The attempts of each container, oldest first. `folder` is the Pod's."""

    def __init__(self, folder: Path, *, restore: bool) -> None:
        self._folder = folder
        self._attempts: dict[str, list[Attempt]] = records.read_attempts(folder) if restore else {}

    def own(self, container: str) -> Path:
        """The container's folder."""
        return self._folder / "containers" / container

    def logs(self, container: str) -> Path:
        """The folder of its logs, `N.log` for run N."""
        return self._folder / "logs" / container

    def spec(self, container: str, number: int) -> dict[str, Any]:
        """What the supervisor was told to run."""
        return records.read_json(self.own(container) / f"{number}.json")

    def newest(self, container: str) -> int:
        """The number of the last run that has begun; -1 for none."""
        attempts = self._attempts.get(container)
        return attempts[-1].number if attempts else -1

    def is_live(self, container: str, number: int) -> bool:
        """Whether that run has not ended."""
        return any(a.number == number and a.live for a in self._attempts.get(container, ()))

    def seen(self, judged: Callable[[str, Attempt], Attempt]) -> dict[str, tuple[Attempt, ...]]:
        """The last two of each container, with what `judged` knows of their health."""
        return {name: tuple(judged(name, a) for a in attempts[-2:]) for name, attempts in self._attempts.items()}

    def begin(self, container: str, number: int, streak: int, spec: dict[str, Any], *, hooked: bool) -> Path:
        """Writes down a new run before it is started; the path of its spec."""
        path = self.own(container) / f"{number}.json"
        records.write_json(path, {**spec, "streak": streak})
        self._attempts.setdefault(container, []).append(Attempt(number, Phase.STARTING, streak=streak, hooked=hooked))
        return path

    def fail(self, container: str, number: int, reason: str, message: str, now: datetime) -> dict[str, Any]:
        """Writes down that it could not be started; the state, for `apply`."""
        own = self.own(container)
        records.write_failed(own, number, reason, message, now)
        return records.read_state(own, number) or {}

    def apply(self, container: str, number: int, state: dict[str, Any]) -> tuple[Attempt, Attempt] | None:
        """The supervisor's word on a run: (before, after). None for a run that we do not know."""
        attempts = self._attempts.get(container, [])
        for at, before in enumerate(attempts):
            if before.number == number:
                attempts[at] = records.apply_state(before, state, self.own(container))
                return before, attempts[at]
        return None

    def change(self, container: str, number: int, **fields: Any) -> None:
        """Sets fields of a run that has not ended."""
        attempts = self._attempts.get(container, [])
        for at, attempt in enumerate(attempts):
            if attempt.number == number and attempt.live:
                attempts[at] = replace(attempt, **fields)

    def drop_unstarted(self, busy: Callable[[str], bool]) -> None:
        """Runs that an earlier agent has written down but died before it could ask for: they never were."""
        for name, attempts in self._attempts.items():
            if attempts and attempts[-1].phase is Phase.STARTING and not busy(name):
                (self.own(name) / f"{attempts.pop().number}.json").unlink(missing_ok=True)

    def lose(self, now: datetime, busy: Callable[[str], bool]) -> list[tuple[str, int]]:
        """The supervisor is gone: what was alive has ended, as its state file says or unseen. Returns which."""
        ended = []
        for name, attempts in self._attempts.items():
            for at, attempt in enumerate(attempts):
                if attempt.live and not busy(name):
                    state = records.read_state(self.own(name), attempt.number)
                    known = state is not None and not state.get("running")
                    attempts[at] = records.apply_state(attempt, state, self.own(name)) if state and known else records.lost(attempt, now)
                    records.write_lost(self.own(name), attempts[at])
                    ended.append((name, attempt.number))
        return ended

    def tidy(self, container: str, number: int) -> None:
        """Removes the private files of a run that has ended, and all of those that are too old to be asked for."""
        own = self.own(container)
        shutil.rmtree(own / f"{number}.tmp", ignore_errors=True)
        for old in records.old_attempts(own):
            for path in own.glob(f"{old}.*"):
                if path.is_file():
                    path.unlink()
            for log in self.logs(container).glob(f"{old}.log*"):
                log.unlink()

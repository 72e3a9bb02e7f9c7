"""Asks Ray's dashboards how jobs are, beside the reconciling: a slow or dead dashboard holds up nobody but its own job.

One task a job. What it learns is kept as the job's latest answer; when that changes, the job is reconciled. `poke` throws the answer away and asks
anew: whoever has seen the submitter end must not judge by what Ray said before.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from raysail.api.ray import RayCluster
from raysail.kube.clock import Clock
from raysail.kube.informer import Key
from raysail.ray.dashboard import Dashboard
from raysail.ray.job.steps import Answer, Submitted, Unreachable
from raysail.ray.tokens import TokenError, Tokens

logger = logging.getLogger(__name__)

_SOON_SECONDS: Final = 0.2
"""After a submission: Ray knows the job at once."""
_GROWTH: Final = 1.1
"""How fast asking becomes rarer while there is no news: from a quarter of a second to three in about half a minute."""


@dataclass(slots=True)
class _Target:
    url: str
    job_id: str
    cluster: RayCluster
    answer: Answer | None = None
    submission: dict[str, Any] | None = None
    version: int = 0
    interval_seconds: float = 1
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    def is_for(self, url: str, job_id: str, cluster: RayCluster) -> bool:
        return (self.url, self.job_id, self.cluster.metadata.uid) == (url, job_id, cluster.metadata.uid)


class Follower:
    """`run` must be running. Jobs are asked about every `poll_seconds`, just after news every `eager_seconds`. `changed(key)` is called when there is another answer, `trouble(key, text)` when a token cannot be had."""

    def __init__(
        self,
        dashboard: Dashboard,
        tokens: Tokens,
        clock: Clock,
        poll_seconds: float,
        *,
        eager_seconds: float | None = None,
        changed: Callable[[Key], None],
        trouble: Callable[[Key, str], None],
    ) -> None:
        self._dashboard, self._tokens, self._clock = dashboard, tokens, clock
        self._longest_seconds, self._shortest_seconds = poll_seconds, min(poll_seconds, eager_seconds or poll_seconds)
        self._changed, self._trouble = changed, trouble
        self._targets: dict[Key, _Target] = {}
        self._stops: dict[str, asyncio.Task[None] | None] = {}
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Owns the tasks until cancelled."""
        try:
            async with self._dashboard, asyncio.TaskGroup() as group:
                self._group = group
                for key, target in self._targets.items():
                    self._start(key, target)
                await asyncio.Event().wait()
        finally:
            self._group = None

    def follow(self, key: Key, url: str, job_id: str, cluster: RayCluster) -> Answer | None:
        """Keeps asking about that job; its latest answer, None while there is none yet. `cluster` with its effective authOptions."""
        target = self._targets.get(key)
        if target is None or not target.is_for(url, job_id, cluster):
            self.forget(key)
            target = self._targets[key] = _Target(url, job_id, cluster, interval_seconds=self._shortest_seconds)
            self._start(key, target)
        return target.answer

    def answer(self, key: Key, url: str, job_id: str, cluster: RayCluster) -> Answer | None:
        """The latest answer about that job, if it is followed."""
        target = self._targets.get(key)
        return target.answer if target is not None and target.is_for(url, job_id, cluster) else None

    def submit(self, key: Key, body: dict[str, Any]) -> None:
        """Hands the followed job's program to Ray; the answer tells how that went."""
        target = self._targets.get(key)
        if target is not None and target.submission is None:
            target.submission = body
            self._ask_anew(target)

    def poke(self, key: Key) -> None:
        """What is known is out of date: asks again now."""
        if target := self._targets.get(key):
            self._ask_anew(target)

    def forget(self, key: Key) -> None:
        """Stops asking about a job."""
        target = self._targets.pop(key, None)
        if target is not None and target.task is not None:
            target.task.cancel()

    def stop_job(self, key: Key, uid: str, url: str, job_id: str, cluster: RayCluster | None) -> bool:
        """Asks Ray once to stop the job of a RayJob with that uid. True when that has been tried, whatever came of it; `changed` tells when."""
        if uid in self._stops:
            return self._stops[uid] is None
        if self._group is None:
            return False
        self._stops[uid] = self._group.create_task(self._stop(key, uid, url, job_id, cluster), name=f"stop {job_id}")
        return False

    def stopped(self, uid: str) -> None:
        """The RayJob of that uid is gone."""
        self._stops.pop(uid, None)

    def _start(self, key: Key, target: _Target) -> None:
        if self._group is not None:
            target.task = self._group.create_task(self._follow(key, target), name=f"follow {'/'.join(key)}")

    def _ask_anew(self, target: _Target) -> None:
        target.version += 1
        target.answer = None
        target.wake.set()

    async def _follow(self, key: Key, target: _Target) -> None:
        while True:
            target.wake.clear()
            version = target.version
            answer = await self._ask(key, target)
            if version == target.version:
                if answer != target.answer:
                    target.answer = answer
                    target.interval_seconds = self._shortest_seconds
                    self._changed(key)
                await self._pause(target, _SOON_SECONDS if isinstance(answer, Submitted) else target.interval_seconds)
                target.interval_seconds = min(self._longest_seconds, target.interval_seconds * _GROWTH)

    async def _ask(self, key: Key, target: _Target) -> Answer | None:
        try:
            token = await self._tokens.of(target.cluster)
        except TokenError as error:
            self._trouble(key, str(error))
            return None
        body, target.submission = target.submission, None
        if body is not None:
            answer = await self._dashboard.submit(target.url, token, body)
        else:
            answer = await self._dashboard.job_info(target.url, token, target.job_id)
        if isinstance(answer, Unreachable):
            logger.debug("%s: %s", "/".join(key), answer.error)
            if answer.refused:
                self._tokens.forget(target.cluster)
        return answer

    async def _pause(self, target: _Target, seconds: float) -> None:
        """That long, or until somebody wants to know."""
        sleeping = asyncio.ensure_future(self._clock.sleep(seconds))
        waking = asyncio.ensure_future(target.wake.wait())
        try:
            await asyncio.wait((sleeping, waking), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (sleeping, waking):
                task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(sleeping, waking)

    async def _stop(self, key: Key, uid: str, url: str, job_id: str, cluster: RayCluster | None) -> None:
        try:
            token = await self._tokens.of(cluster) if cluster is not None else ""
            if problem := await self._dashboard.stop(url, token, job_id):
                logger.info("RayJob %s: could not stop %s: %s", "/".join(key), job_id, problem)
        except TokenError as error:
            logger.info("RayJob %s: could not stop %s: %s", "/".join(key), job_id, error)
        finally:
            self._stops[uid] = None
            self._changed(key)

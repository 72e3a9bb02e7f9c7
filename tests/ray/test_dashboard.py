"""Speaking to dashboards, and following jobs beside the reconciling."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from aiohttp import web

from raysail.api.ray import RayCluster
from raysail.kube.clock import VirtualClock
from raysail.ray.dashboard import Dashboard, DashboardError
from raysail.ray.job.follower import Follower
from raysail.ray.job.steps import Answer, NotFound, RayJobInfo, Submitted, Unreachable
from raysail.ray.tokens import TokenError, Tokens
from tests.ray.builders import cluster
from tests.ray.live import FakeRay

KEY = ("ns", "rj")
SERVICE = "rc-head-svc.ns.svc.cluster.local"
BODY = {"entrypoint": "python main.py", "submission_id": "rj-1"}
CLUSTER = cluster()


@contextlib.asynccontextmanager
async def dashboard_at(host: str = "127.0.0.1") -> AsyncIterator[Dashboard]:
    async with Dashboard(timeout_seconds=2, addresses=lambda name: host if name == SERVICE else None) as dashboard:
        yield dashboard


async def test_a_job_from_submission_to_end() -> None:
    async with FakeRay().serving() as ray, dashboard_at() as dashboard:
        url = f"{SERVICE}:{ray.port}"
        assert await dashboard.job_info(url, "", "rj-1") == NotFound()
        assert await dashboard.submit(url, "", BODY) == Submitted()
        again = await dashboard.submit(url, "", BODY)
        assert isinstance(again, Unreachable)
        assert "HTTP 500 Please use a different submission_id" in again.error
        assert await dashboard.job_info(url, "s3cret", "rj-1") == RayJobInfo(status="RUNNING")
        assert await dashboard.job_info(url, "", "rj-1") == RayJobInfo(status="SUCCEEDED", message="done")
        assert await dashboard.stop(url, "", "rj-1") == ""
        assert (ray.stopped, ray.tokens[3:5]) == (["rj-1"], ["Bearer s3cret", ""])


@pytest.mark.parametrize(
    ("code", "body", "refused"), [(401, "no", True), (403, "no", True), (500, "broken", False), (200, "<html>", False)]
)
async def test_answers_that_are_none(code: int, body: str, refused: bool) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=code, text=body)

    server = web.Server(answer)  # type: ignore[arg-type]
    runner = web.ServerRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = "127.0.0.1:{}".format(*runner.addresses[0][1:2])
    async with dashboard_at() as dashboard:
        said = await dashboard.job_info(url, "", "rj-1")
        assert isinstance(said, Unreachable)
        assert (said.refused, f"HTTP {code} {body}" in said.error) == (refused, True)
        with pytest.raises(DashboardError):
            await dashboard.serve_details(url, "")
    await runner.cleanup()


async def test_services_without_an_address_and_dashboards_that_are_not_there() -> None:
    async with dashboard_at() as dashboard:
        for url in ("other.ns.svc.cluster.local:8265", "127.0.0.1:1"):
            assert isinstance(await dashboard.job_info(url, "", "rj-1"), Unreachable)
            assert isinstance(await dashboard.submit(url, "", BODY), Unreachable)
            assert await dashboard.stop(url, "", "rj-1") != ""
        assert not await dashboard.proxy_is_healthy("127.0.0.1", 1)


class Scripted:
    """A dashboard that answers one thing after the other, the last one for ever, and the tokens that go with it."""

    def __init__(self, *answers: Answer) -> None:
        self.answers, self.asked, self.submitted = list(answers), 0, 0
        self.stopped: list[str] = []
        self.forgotten = 0
        self.token_fails = False

    async def __aenter__(self) -> Scripted:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def job_info(self, *_: str) -> Answer:
        self.asked += 1
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    async def submit(self, *_: Any) -> Answer:
        self.submitted += 1
        return Submitted()

    async def stop(self, _url: str, _token: str, job_id: str) -> str:
        self.stopped.append(job_id)
        return "gone"

    async def of(self, _: RayCluster) -> str:
        if self.token_fails:
            raise TokenError("no such Secret")
        return ""

    def forget(self, _: RayCluster) -> None:
        self.forgotten += 1


class Following:
    """A follower at work with a scripted dashboard and a virtual clock; `news`: which keys it called for."""

    def __init__(self, *answers: Answer, eager_seconds: float | None = None) -> None:
        self.ray, self.clock, self.news, self.trouble = Scripted(*answers), VirtualClock(), [], []
        self.follower = Follower(
            cast("Dashboard", self.ray),
            cast("Tokens", self.ray),
            self.clock,
            3,
            eager_seconds=eager_seconds,
            changed=self.news.append,
            trouble=lambda _, text: self.trouble.append(text),
        )

    news: list[Any]
    trouble: list[str]

    async def __aenter__(self) -> Following:
        self._task = asyncio.create_task(self.follower.run())
        await self.pass_time(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    def look(self) -> Answer | None:
        return self.follower.follow(KEY, "url", "rj-1", CLUSTER)

    async def pass_time(self, seconds: float) -> None:
        for _ in range(5):
            await asyncio.sleep(0)
        await self.clock.advance(seconds)
        for _ in range(5):
            await asyncio.sleep(0)


RUNNING, DONE = RayJobInfo(status="RUNNING"), RayJobInfo(status="SUCCEEDED")


async def test_only_news_leads_to_a_reconcile() -> None:
    async with Following(RUNNING, RUNNING, DONE) as following:
        assert following.look() is None
        await following.pass_time(0)
        assert (following.look(), following.news) == (RUNNING, [KEY])
        await following.pass_time(3)
        assert following.news == [KEY]
        await following.pass_time(3)
        assert (following.look(), following.news) == (DONE, [KEY, KEY])


async def test_a_poke_makes_it_forget_and_ask_at_once() -> None:
    async with Following(RUNNING, DONE) as following:
        following.look()
        await following.pass_time(0)
        following.follower.poke(KEY)
        assert following.look() is None
        await following.pass_time(0)
        assert following.look() == DONE


async def test_a_job_is_submitted_once_and_asked_about_soon_after() -> None:
    async with Following(NotFound(), RUNNING) as following:
        following.look()
        await following.pass_time(0)
        following.follower.submit(KEY, BODY)
        following.follower.submit(KEY, BODY)
        await following.pass_time(0)
        assert (following.look(), following.ray.submitted) == (Submitted(), 1)
        await following.pass_time(0.3)
        assert following.look() == RUNNING


async def test_eager_asking_becomes_rarer_while_there_is_no_news() -> None:
    async with Following(RUNNING, eager_seconds=0.25) as following:
        following.look()
        for _ in range(20):
            await following.pass_time(0.25)
        early = following.ray.asked
        assert early > 8
        for _ in range(400):
            await following.pass_time(0.25)
        before = following.ray.asked
        for _ in range(120):
            await following.pass_time(0.25)
        assert 9 <= following.ray.asked - before <= 11, "30 seconds at one question every three"


async def test_another_cluster_or_job_is_followed_anew() -> None:
    async with Following(RUNNING) as following:
        following.look()
        await following.pass_time(0)
        assert following.follower.answer(KEY, "url", "rj-2", CLUSTER) is None
        assert following.follower.follow(KEY, "url", "rj-2", CLUSTER) is None
        following.follower.forget(KEY)
        assert following.follower.answer(KEY, "url", "rj-2", CLUSTER) is None
        await following.pass_time(10)
        assert following.ray.asked == 1


async def test_a_refused_token_is_read_anew_and_a_missing_one_is_told() -> None:
    async with Following(Unreachable("401", refused=True)) as following:
        following.look()
        await following.pass_time(0)
        assert following.ray.forgotten == 1
        following.ray.token_fails = True
        await following.pass_time(3)
        assert following.trouble == ["no such Secret"]


async def test_stopping_is_tried_once() -> None:
    async with Following(RUNNING) as following:

        def stop() -> bool:
            return following.follower.stop_job(KEY, "uid", "url", "rj-1", None)

        assert not stop()
        assert not stop()
        await following.pass_time(0)
        assert stop(), "tried, though Ray did not want to"
        assert (following.ray.stopped, following.news) == (["rj-1"], [KEY])

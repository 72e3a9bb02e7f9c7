"""The HTTPS listener that the API server asks: reviews in, reviews out."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final

import orjson
from aiohttp import web

from raysail.api.errors import StatusError
from raysail.api.kueue.admission import AdmissionSettings, Lookup
from raysail.kube.client import Client
from raysail.operator.webhooks import admission, configurations
from raysail.operator.webhooks.conversion import convert
from raysail.operator.webhooks.objects import decide

logger = logging.getLogger(__name__)

Rules = Callable[[Mapping[str, Any], Lookup, AdmissionSettings], dict[str, Any]]
MAX_REVIEW_BYTES: Final = 16 * 1024 * 1024
"""An object and what it was before are 3 MiB each at most; a conversion may bring many."""
_SHUTDOWN_SECONDS: Final = 5.0


class WebhookServer:
    """Answers while it is open. Deciding needs the API where a decision asks about other objects, nothing else of this process."""

    def __init__(self, client: Client, settings: AdmissionSettings, more: Iterable[web.RouteDef] = ()) -> None:
        """`more`: what else is answered on the same port."""
        self._client = client
        self._settings = settings
        self._runner: web.AppRunner | None = None
        self.application = web.Application(client_max_size=MAX_REVIEW_BYTES)
        self.application.add_routes(
            [
                web.post(configurations.MUTATE, self._reviewing(admission.mutate_queue)),
                web.post(configurations.VALIDATE, self._reviewing(admission.validate_queue)),
                web.post(configurations.VALIDATE_RAY, self._reviewing(admission.validate_ray)),
                web.post(configurations.CONVERT, self._convert),
                *more,
            ]
        )

    async def open(self, host: str, port: int, context: ssl.SSLContext) -> int:
        """Listens; gives the port. Raises OSError."""
        self._runner = web.AppRunner(self.application, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
        await self._runner.setup()
        await web.TCPSite(self._runner, host or None, port, ssl_context=context).start()
        found: int = self._runner.addresses[0][1]
        return found

    async def close(self) -> None:
        """Finishes what is in hand and stops listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    def _reviewing(self, rules: Rules) -> Callable[[web.Request], Any]:
        async def answer(request: web.Request) -> web.Response:
            review = await _read(request)
            asked = review["request"]
            try:
                response = await decide(partial(self._apply, rules, asked), self._client)
            except (StatusError, ConnectionError, TimeoutError) as error:
                # The API server's own failure policy decides then: the review itself could not be done.
                logger.warning("cannot review %s %s: %s", asked.get("operation"), asked.get("name"), error)
                return web.Response(status=500, text=f"the API server could not be asked: {error}")
            return _answer(review, response)

        return answer

    def _apply(self, rules: Rules, asked: Mapping[str, Any], lookup: Lookup) -> dict[str, Any]:
        return rules(asked, lookup, self._settings)

    async def _convert(self, request: web.Request) -> web.Response:
        review = await _read(request)
        return _answer(review, convert(review["request"]))


async def _read(request: web.Request) -> dict[str, Any]:
    try:
        review = orjson.loads(await request.read())
        uid = review["request"]["uid"]
    except (orjson.JSONDecodeError, KeyError, TypeError, asyncio.IncompleteReadError) as error:
        raise web.HTTPBadRequest(text=f"not a review: {error!r}") from error
    if not isinstance(uid, str):
        raise web.HTTPBadRequest(text="not a review: request.uid is no text")
    found: dict[str, Any] = review
    return found


def _answer(review: Mapping[str, Any], response: Mapping[str, Any]) -> web.Response:
    body = {"apiVersion": review.get("apiVersion"), "kind": review.get("kind"), "response": response}
    return web.Response(body=orjson.dumps(body), content_type="application/json")

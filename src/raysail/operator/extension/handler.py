"""Requests to extension APIs as aiohttp brings them: from path and query to an answer, refusals as a Status."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Final

import orjson
from aiohttp import web

from raysail.api.errors import StatusError
from raysail.kube.manager import ExtensionApi
from raysail.operator.extension.front_proxy import FrontProxy

logger = logging.getLogger(__name__)

_PARTS_OF_DISCOVERY: Final = 4
"""Of /apis/GROUP/VERSION, the leading empty one included."""


class ExtensionHandler:
    """Answers below /apis. Over TLS only to a `front_proxy`; None where the listener itself is only reachable by the API server (a private socket)."""

    def __init__(self, apis: Mapping[str, ExtensionApi], front_proxy: FrontProxy | None, ready: Callable[[], bool]) -> None:
        """`ready`: whether there is anything to tell yet. A process that waits to become the leader knows of no queue, and must not say that there is none."""
        self._apis = apis
        self._ready = ready
        self._front_proxy = front_proxy

    def routes(self) -> list[web.RouteDef]:
        """What to add to an application."""
        return [
            web.get("/apis", self.answer),
            web.get("/apis/{path:.*}", self.answer),
            web.get("/openapi/v2", self.openapi),
            web.get("/healthz", self.health),
        ]

    async def health(self, request: web.Request) -> web.Response:
        """Whether it listens."""
        return web.Response(text="ok")

    async def openapi(self, request: web.Request) -> web.Response:
        """Nothing to describe: what is answered are reports, no kinds that anybody writes. Without this the API server asks again and again."""
        return _json(200, {"swagger": "2.0", "info": {"title": "raysail", "version": "v1"}, "paths": {}})

    async def answer(self, request: web.Request) -> web.Response:
        """One request."""
        try:
            if self._front_proxy is not None and not self._front_proxy.is_peer(request):
                raise StatusError("Unauthorized", "only the API server's front proxy may ask here")
            return _json(200, self._found(request))
        except StatusError as error:
            return _json(error.code, error.to_status())
        except Exception:
            logger.exception("GET %s", request.path)
            fault = StatusError("InternalError", "Internal error occurred: the operator's log says more")
            return _json(fault.code, fault.to_status())

    def _found(self, request: web.Request) -> dict[str, object]:
        path = request.path.rstrip("/")
        if path == "/apis":
            groups = [api(f"/apis/{group}", {}) for group, api in self._apis.items()]
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
        api = self._apis.get(path.split("/")[2])
        if api is None:
            raise StatusError("NotFound", "the server could not find the requested resource")
        if len(path.split("/")) > _PARTS_OF_DISCOVERY and not self._ready():
            raise StatusError("ServiceUnavailable", "the controllers of this process do not run (yet)")
        return api(path, {name: request.query.getall(name) for name in request.query})


def _json(status: int, body: Mapping[str, object]) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json")

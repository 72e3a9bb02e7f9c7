"""A local reverse proxy in front of one Ray dashboard that adds the cluster's token, so that a browser needs none."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import aiohttp
from aiohttp import web

_HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailers",
        "transfer-encoding",
        "upgrade",
        "host",
        "content-length",
        "content-encoding",
    }
)
_CHUNK_BYTES: Final = 1 << 16


async def serve(target: str, token: str, port: int, ready: Callable[[str], None]) -> None:
    """Serves http://127.0.0.1:PORT until cancelled; `ready` gets the URL. Raises OSError when the port is taken."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with aiohttp.ClientSession(auto_decompress=False) as session:

        async def forward(request: web.Request) -> web.StreamResponse:
            if not _same_origin(request):
                raise web.HTTPForbidden(text="This address serves the dashboard to its own pages only.")
            if request.headers.get("Upgrade", "").lower() == "websocket":
                return await _bridge(request, session, target, headers)
            return await _relay(request, session, target, headers)

        application = web.Application(client_max_size=1 << 30)
        application.router.add_route("*", "/{path:.*}", forward)
        runner = web.AppRunner(application, access_log=None)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", port)
            await site.start()
            bound = runner.addresses[0][1]
            ready(f"http://127.0.0.1:{bound}")
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()


def _same_origin(request: web.Request) -> bool:
    """Another site's page in the same browser must not reach the cluster through us: it would run code with our token."""
    host = request.host.partition(":")[0]
    origin = request.headers.get("Origin")
    return host in ("127.0.0.1", "localhost") and (origin is None or origin == f"http://{request.host}")


async def _relay(request: web.Request, session: aiohttp.ClientSession, target: str, added: dict[str, str]) -> web.StreamResponse:
    sent = {k: v for k, v in request.headers.items() if k.lower() not in _HOP_BY_HOP} | added
    body = request.content if request.can_read_body else None
    async with session.request(request.method, f"{target}{request.rel_url}", headers=sent, data=body, allow_redirects=False) as answer:
        kept = {k: v for k, v in answer.headers.items() if k.lower() not in _HOP_BY_HOP or k.lower() == "content-encoding"}
        response = web.StreamResponse(status=answer.status, headers=kept)
        await response.prepare(request)
        async for chunk in answer.content.iter_chunked(_CHUNK_BYTES):
            await response.write(chunk)
        await response.write_eof()
        return response


async def _bridge(request: web.Request, session: aiohttp.ClientSession, target: str, added: dict[str, str]) -> web.WebSocketResponse:
    browser = web.WebSocketResponse()
    await browser.prepare(request)
    async with session.ws_connect(f"{target}{request.rel_url}", headers=added) as ray:

        async def upwards() -> None:
            async for message in browser:
                if message.type is aiohttp.WSMsgType.TEXT:
                    await ray.send_str(message.data)
                elif message.type is aiohttp.WSMsgType.BINARY:
                    await ray.send_bytes(message.data)
            await ray.close()

        async with asyncio.TaskGroup() as group:
            task = group.create_task(upwards())
            async for message in ray:
                if message.type is aiohttp.WSMsgType.TEXT:
                    await browser.send_str(message.data)
                elif message.type is aiohttp.WSMsgType.BINARY:
                    await browser.send_bytes(message.data)
            task.cancel()
    await browser.close()
    return browser

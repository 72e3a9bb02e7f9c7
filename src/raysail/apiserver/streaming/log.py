"""A container's log from the agent to the client, as it is written."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

import aiohttp

from raysail.api.errors import StatusError
from raysail.apiserver.streaming.target import Target

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_CHUNK_BYTES: Final = 1 << 16
_CONNECT_SECONDS: Final = 5.0


async def stream_log(target: Target, query: Mapping[str, str], receive: Receive, send: Send) -> None:
    """Answers an ASGI request with the agent's answer. Raises StatusError before anything is sent: the agent's refusal, or 503 when it is away.

    `query` are the log options of the request (follow, tailLines, sinceSeconds, ...). Ends when the log ends or the client goes.
    """
    timeout = aiohttp.ClientTimeout(total=None, connect=_CONNECT_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(target.socket), timeout=timeout) as session,
            session.get(f"http://node{target.path}", params=dict(query)) as answer,
        ):
            if answer.status >= 400:
                raise await refusal(answer)
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
            async with asyncio.TaskGroup() as group:
                gone = group.create_task(_client_gone(receive))
                pump = group.create_task(_pump(answer, send))
                await asyncio.wait((gone, pump), return_when=asyncio.FIRST_COMPLETED)
                gone.cancel()
                pump.cancel()
    except aiohttp.ClientConnectorError as error:
        raise agent_away(error) from error


async def _pump(answer: aiohttp.ClientResponse, send: Send) -> None:
    async for chunk in answer.content.iter_any():
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _client_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def refusal(answer: aiohttp.ClientResponse) -> StatusError:
    """The agent's refusal as an error: a Status where it sent one, else its text."""
    try:
        return StatusError.from_status(await answer.json(content_type=None), answer.status)
    except ValueError:
        reason = {400: "BadRequest", 404: "NotFound"}.get(answer.status, "InternalError")
        return StatusError(reason, (await answer.text()) or f"the node agent answered {answer.status}", answer.status)


def agent_away(error: Exception) -> StatusError:
    """503: nothing answers on the agent's socket."""
    return StatusError("ServiceUnavailable", f"the node agent does not answer ({error}): it may be restarting; try again")

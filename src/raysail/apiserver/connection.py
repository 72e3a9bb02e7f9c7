"""One client's connection: requests parsed by httptools, answered with as little as possible between the parser and the application.

uvicorn's protocol serves what is rare: upgrades to WebSocket, bodies that are large or announced (`Expect`), HTTP/1.0, requests sent before the last one
was answered. A request whose body is there whole takes a shorter way: what needs no waiting is answered within the parser's callback, everything
else by one task, and an answer's head and body go out in one write. What the application sees is ASGI, with the few keys of a scope that it reads.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import MutableMapping
from typing import Any, Final, Protocol
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from raysail.apiserver.rest.answer import NO_CACHE, Answer, warning
from raysail.apiserver.rest.call import PUSH, Receive, Scope, Send

log = logging.getLogger(__name__)

_CONTROL: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]+")
_WITHOUT_BODY: Final = frozenset({204, 304})


class Responder(Protocol):
    """The application, as connections know it."""

    def at_once(self, scope: Scope) -> Answer | None:
        """The answer to a GET that nothing has to be awaited for, or None: then `respond` will give it."""
        ...

    async def respond(self, scope: Scope, receive: Receive, send: Send) -> Answer | None:
        """The answer, or None where it went out through `send`. Raises nothing but cancellation."""
        ...


class Connection(HttpToolsProtocol):
    """`app` is a Responder that is also an ASGI application."""

    app: Any
    cycle: Any  # uvicorn's, or an Exchange
    _direct = False
    _body = b""
    _heard_at = 0.0
    _idle_timer: asyncio.TimerHandle | None = None

    # The parser's callbacks.

    def on_message_begin(self) -> None:
        """A new request."""
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._body = b""

    def on_headers_complete(self) -> None:
        """Chooses the way: the short one, or uvicorn's."""
        busy = self.cycle is not None and not self.cycle.response_complete
        rare = busy or self.expect_100_continue or self.parser.should_upgrade() or self.parser.get_http_version() != "1.1"
        self._direct = not rare
        if rare:
            self._hand_over()

    def on_body(self, body: bytes) -> None:
        """Gathers the body; one that grows large goes uvicorn's way, with its flow control."""
        if not self._direct:
            super().on_body(body)
            return
        self._body = self._body + body if self._body else body
        if len(self._body) > HIGH_WATER_LIMIT:
            self._direct = False
            self._hand_over()
            super().on_body(self._body)

    def on_message_complete(self) -> None:
        """The request is whole: answers it."""
        if not self._direct:
            super().on_message_complete()
            return
        path, query = _split(self.url)
        scope: Scope = {
            "type": "http",
            "method": self.parser.get_method().decode("ascii"),
            "path": unquote(path) if "%" in path else path,
            "query_string": query,
            "headers": self.headers,
            "state": self.app_state,
        }
        exchange = self.cycle = Exchange(self, scope, self._body, self.parser.should_keep_alive())
        if scope["method"] == "GET":
            answer = self.app.at_once(scope)
            if answer is not None:
                exchange.answer(answer)
                return
        scope[PUSH] = exchange.push
        exchange.start()

    def _hand_over(self) -> None:
        """Lets uvicorn serve the request whose head was just read."""
        url, headers, expected = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expected
        self.headers += headers
        super().on_headers_complete()

    # The connection.

    def data_received(self, data: bytes) -> None:
        """Feeds the parser."""
        self._heard_at = self.loop.time()
        if self._idle_timer is None:
            self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self._close_if_idle)
        super().data_received(data)

    def _close_if_idle(self) -> None:
        """One timer for all requests of a connection."""
        quiet = self.loop.time() - self._heard_at
        busy = self.cycle is not None and not self.cycle.response_complete
        if quiet >= self.timeout_keep_alive and not busy:
            self.transport.close()
        else:
            self._idle_timer = self.loop.call_later(max(self.timeout_keep_alive - quiet, 60.0), self._close_if_idle)

    def on_response_complete(self) -> None:
        """Ready for the next request, which may be here already."""
        if self.pipeline:
            super().on_response_complete()
            return
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            self.flow.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has left."""
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        if isinstance(self.cycle, Exchange):
            self.cycle.lost()
            self.cycle = None
        super().connection_lost(exc)


class Exchange:
    """One request and its answer, in the place of uvicorn's cycle (whose attributes without underscore the protocol reads)."""

    __slots__ = ("_body", "_chunked", "_connection", "_left", "_scope", "_task", "disconnected", "keep_alive", "response_complete")

    def __init__(self, connection: Connection, scope: Scope, body: bytes, keep_alive: bool) -> None:
        self._connection = connection
        self._scope = scope
        self._body: bytes | None = body
        self._chunked = False
        self._left: asyncio.Event | None = None
        self._task: asyncio.Task[None] | None = None
        self.keep_alive = keep_alive
        self.disconnected = False
        self.response_complete = False

    def start(self) -> None:
        """Answers in a task."""
        connection = self._connection
        self._task = connection.loop.create_task(self._run())
        connection.tasks.add(self._task)

    async def _run(self) -> None:
        connection = self._connection
        try:
            answer = await connection.app.respond(self._scope, self.receive, self.send)
            if answer is not None:
                self.answer(answer)
            elif not self.response_complete and not self.disconnected:
                connection.transport.close()  # an answer that broke off: the client must see that
        except Exception:
            log.exception("%s %s", self._scope["method"], self._scope["path"])
            connection.transport.close()
        finally:
            if self._task is not None:
                connection.tasks.discard(self._task)

    def answer(self, answer: Answer) -> None:
        """Sends a whole answer."""
        if self.disconnected:
            return
        body = answer.body
        head = answer_head(answer, keep_alive=self.keep_alive)
        self._connection.transport.write(head + body if len(body) <= HIGH_WATER_LIMIT else b"".join((head, body)))
        self._finish()

    async def receive(self) -> MutableMapping[str, Any]:
        """ASGI: the body, then the client's leaving."""
        body = self._body
        if body is not None:
            self._body = None
            return {"type": "http.request", "body": body, "more_body": False}
        if not self.disconnected and not self.response_complete:
            if self._left is None:
                self._left = asyncio.Event()
            await self._left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """ASGI: an answer in parts. Waits while the client does not read."""
        flow = self._connection.flow
        if flow.write_paused and not self.disconnected:
            await flow.drain()
        if self.disconnected:
            return
        if message["type"] == "http.response.start":
            self._begin(message["status"], message.get("headers") or ())
            return
        body: bytes = message.get("body", b"")
        if self._scope["method"] != "HEAD":
            self._write(body)
        if not message.get("more_body"):
            if self._chunked:
                self._connection.transport.write(b"0\r\n\r\n")
            self._finish()

    def push(self, body: bytes) -> bool:
        """Sends a part of an answer that has begun, at once; False when the client is gone or does not keep up with reading (then `send` waits)."""
        if self.disconnected or self._connection.flow.write_paused:
            return False
        self._write(body)
        return True

    def lost(self) -> None:
        """The client has left."""
        if not self.response_complete:
            self.disconnected = True
        self._wake()

    def _begin(self, status: int, headers: Any) -> None:
        parts = [STATUS_LINE[status]]
        sized = status in _WITHOUT_BODY or self._scope["method"] == "HEAD"
        for name, value in headers:
            low = name.lower()
            if low == b"transfer-encoding":
                continue  # said below, where it is true
            if low == b"content-length":
                sized = True
            elif low == b"connection" and b"close" in value.lower():
                self.keep_alive = False
            parts += (low, b": ", _CONTROL.sub(b" ", value), b"\r\n")
        if not sized:
            self._chunked = True
            parts.append(b"transfer-encoding: chunked\r\n")
        parts.append(b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n")
        self._connection.transport.write(b"".join(parts))

    def _write(self, body: bytes) -> None:
        if body:
            self._connection.transport.write(b"%x\r\n%b\r\n" % (len(body), body) if self._chunked else body)

    def _finish(self) -> None:
        self.response_complete = True
        self._wake()
        if not self.keep_alive:
            self._connection.transport.close()
        self._connection.on_response_complete()

    def _wake(self) -> None:
        if self._left is not None:
            self._left.set()


_starts: dict[tuple[int, bytes], bytes] = {}
"""Status line and the headers that are always there, up to the number of bytes."""


def answer_head(answer: Answer, *, keep_alive: bool) -> bytes:
    """The head of a whole answer, as bytes. Control characters in headers (a warning may quote a client's text) become blanks."""
    place = (answer.status, answer.content_type)
    start = _starts.get(place)
    if start is None:
        start = STATUS_LINE[answer.status] + b"%b: %b\r\ncontent-type: %b\r\ncontent-length: " % (*NO_CACHE, answer.content_type)
        _starts[place] = start
    more = b""
    for name, value in answer.headers:
        more += b"%b: %b\r\n" % (name, _CONTROL.sub(b" ", value))
    for text in answer.warnings:
        more += b"warning: %b\r\n" % _CONTROL.sub(b" ", warning(text))
    if not keep_alive:
        more += b"connection: close\r\n"
    return b"%b%d\r\n%b\r\n" % (start, len(answer.body), more)


def _split(url: bytes) -> tuple[str, bytes]:
    """Path and query of a request's target; `http://host/path` and fragments are httptools' business. Raises ValueError, HttpParserError."""
    if url[:1] == b"/" and b"#" not in url and url[:2] != b"//":
        path, _, query = url.partition(b"?")
        return path.decode("ascii"), query
    parsed = httptools.parse_url(url)
    return (parsed.path or b"/").decode("ascii"), parsed.query or b""

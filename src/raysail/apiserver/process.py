"""The API process: settings in, sockets out, until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import sys
from collections.abc import AsyncIterator

import uvloop

from raysail.apiserver.access import pki as keys
from raysail.apiserver.listener import Listener, bind_tcp, bind_unix, free_unix, tls_context
from raysail.apiserver.server import ApiServer
from raysail.apiserver.settings import ApiSettings, TlsSettings

log = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def running(settings: ApiSettings) -> AsyncIterator[list[str]]:
    """The API served while the context lasts; gives the addresses it listens on. Raises SocketInUseError, StoreUnreadableError."""
    folder = settings.pki or settings.data.parent / "pki"
    pki = await asyncio.to_thread(keys.prepare, folder, sorted({settings.host, "localhost", "127.0.0.1", *_SERVICE_NAMES}))
    addresses: list[str] = []
    if settings.socket is not None:
        free_unix(settings.socket)
    tcp = bind_tcp(settings.host, settings.port) if settings.port is not None else None
    server = ApiServer(settings, pki, address=tcp.getsockname()[:2] if tcp is not None else None)
    try:
        await server.start()
        listener = Listener(server.application)
        if settings.socket is not None:
            # Not earlier: that the file is there tells others that they can start.
            listener.add_unix(bind_unix(settings.socket))
            addresses.append(f"unix://{settings.socket}")
        if tcp is not None:
            tls = settings.tls or (TlsSettings(pki.server_certificate, pki.server_key, pki.ca_certificate) if settings.secure else None)
            listener.add_tcp(tcp, tls_context(tls) if tls else None)
            host, port = tcp.getsockname()[:2]
            addresses.append(f"{'https' if tls else 'http'}://{host}:{port}")
        await listener.start()
        try:
            yield addresses
        finally:
            server.application.streams.close()
            await listener.stop()
    finally:
        await server.close()
        if settings.socket is not None:
            settings.socket.unlink(missing_ok=True)


_SERVICE_NAMES = ("kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")


_SETTLED_SECONDS = 5.0
"""So long after the start the first clients have what they came for."""


def _keep_what_is_there() -> None:
    """Code and schemas stay for good: the collector need not look at them again."""
    gc.collect()
    gc.freeze()


async def serve(settings: ApiSettings) -> None:
    """Serves until SIGTERM or SIGINT. Prints what it listens on."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(settings) as addresses:
        loop.call_later(_SETTLED_SECONDS, _keep_what_is_there)
        print(f"raysail API is ready on {', '.join(addresses)}", flush=True)
        await stop.wait()
        log.info("stopping")


def main(settings: ApiSettings) -> None:
    """Runs `serve` on uvloop."""
    # Stored objects are many and hold no cycles: the collector need not walk them all the time.
    gc.set_threshold(20_000, 50, 100)
    # The thread that commits waits at most this long for a busy event loop to let go of the interpreter.
    sys.setswitchinterval(0.001)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings))

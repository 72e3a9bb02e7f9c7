"""Listening: one application behind a Unix socket and, with TLS or without, behind TCP. uvicorn with uvloop and httptools."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from pathlib import Path
from typing import Any

import uvicorn

from raysail.apiserver.connection import Connection
from raysail.apiserver.gate import CERTIFICATE, TRUSTED
from raysail.apiserver.settings import TlsSettings

_BACKLOG = 4096
_DRAIN_SECONDS = 5


class SocketInUseError(Exception):
    """Another process serves there. The text says where and what to do."""


class _Trusted(Connection):
    """Requests over the Unix socket: who may open it is an administrator."""

    def connection_made(self, transport: Any) -> None:
        self.app_state = {**self.app_state, TRUSTED: True}
        super().connection_made(transport)


class _Verified(Connection):
    """Requests over TLS: the client certificate, if one was shown, says who asks."""

    def connection_made(self, transport: Any) -> None:
        session = transport.get_extra_info("ssl_object")
        certificate = session.getpeercert(True) if session is not None else None
        if certificate:
            self.app_state = {**self.app_state, CERTIFICATE: certificate}
        super().connection_made(transport)


class _Server(uvicorn.Server):
    """Leaves signals to the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


def _config(application: Any, protocol: type[Connection]) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        http=protocol,
        ws="wsproto",
        loop="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=3600,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )


def free_unix(path: Path) -> None:
    """Sees to it that nothing is at the socket's path: a stale file goes. Raises SocketInUseError when a live server has it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if path.exists():
        probe = socket.socket(socket.AF_UNIX)
        try:
            probe.connect(str(path))
        except OSError:
            path.unlink(missing_ok=True)
        else:
            raise SocketInUseError(f"{path}: another API server answers there; stop it first or choose another socket")
        finally:
            probe.close()


def bind_unix(path: Path) -> socket.socket:
    """A listening socket at a free path, that only its owner may open."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    path.chmod(0o600)
    listening.listen(_BACKLOG)
    return listening


def bind_tcp(host: str, port: int) -> socket.socket:
    """A listening TCP socket (port 0: any free one). Raises SocketInUseError."""
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise SocketInUseError(f"{host}:{port}: {error.strerror}; is another instance running? Choose another port or stop it") from error
    listening.listen(_BACKLOG)
    return listening


def tls_context(settings: TlsSettings) -> ssl.SSLContext:
    """Server side TLS; client certificates are asked for, not demanded."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(settings.certificate, settings.key)
    context.set_alpn_protocols(["http/1.1"])
    if settings.client_ca is not None:
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(settings.client_ca)
    return context


class Listener:
    """Serves an application on sockets until it is stopped."""

    def __init__(self, application: Any) -> None:
        self._application = application
        self._servers: list[tuple[_Server, socket.socket]] = []
        self._tasks: list[asyncio.Task[None]] = []

    def add_unix(self, listening: socket.socket) -> None:
        """Trusted local clients."""
        self._servers.append((_Server(_config(self._application, _Trusted)), listening))

    def add_tcp(self, listening: socket.socket, context: ssl.SSLContext | None) -> None:
        """Clients that show who they are."""
        config = _config(self._application, _Verified)
        config.load()
        config.ssl = context
        self._servers.append((_Server(config), listening))

    async def start(self) -> None:
        """Returns once all sockets are served."""
        for server, listening in self._servers:
            self._tasks.append(asyncio.create_task(server.serve(sockets=[listening])))
        while not all(server.started for server, _ in self._servers):
            for task in self._tasks:
                if task.done():
                    await task
            await asyncio.sleep(0.002)

    async def stop(self) -> None:
        """Lets running requests end, then closes the sockets."""
        for server, _ in self._servers:
            server.should_exit = True
        await asyncio.gather(*self._tasks, return_exceptions=True)

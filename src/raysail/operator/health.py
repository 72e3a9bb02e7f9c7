"""/healthz, /readyz and /metrics of the controllers process.

Alive means that the event loop answers; ready that the informers are complete and the controllers run. The API being away makes nobody unready: the
process waits for it, and restarting it would not help.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from raysail.kube.manager import Manager

_MAX_REQUEST_BYTES = 16 * 1024
_REQUEST_TIMEOUT_SECONDS = 10.0


@dataclass(slots=True)
class HealthServer:
    """A listening port."""

    server: asyncio.Server

    @property
    def port(self) -> int:
        """The port number in use."""
        number: int = self.server.sockets[0].getsockname()[1]
        return number

    async def close(self) -> None:
        """Stops listening."""
        self.server.close()
        await self.server.wait_closed()


async def serve_health(address: str, manager: Manager) -> HealthServer:
    """Listens on `host:port`; an empty host means loopback (KubeRay's `:8082` listens everywhere: closed by default is ours). Raises OSError."""
    host, _, port = address.rpartition(":")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_TIMEOUT_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                path = head.split(b" ", 2)[1].decode().partition("?")[0] if head.count(b" ") >= 2 else ""
                status, body = respond(path, manager)
                writer.write(
                    f"HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
                    f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
                    + body
                )
                await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass  # whoever asked has gone or speaks something else
        finally:
            writer.close()

    return HealthServer(await asyncio.start_server(answer, host or "127.0.0.1", int(port), limit=_MAX_REQUEST_BYTES))


def respond(path: str, manager: Manager) -> tuple[str, bytes]:
    """Status line and body for a path."""
    if path in ("/healthz", "/livez"):
        return "200 OK", b"ok"
    if path == "/readyz":
        return ("200 OK", b"ok") if manager.ready else ("500 Internal Server Error", f"waits for {', '.join(manager.missing())}".encode())
    if path == "/metrics":
        return "200 OK", metrics(manager).encode()
    return "404 Not Found", b"not found"


def metrics(manager: Manager) -> str:
    """The process' own numbers in Prometheus' text format."""
    lines = [
        "# HELP raysail_ready Whether all informers are complete and the controllers run.",
        "# TYPE raysail_ready gauge",
        f"raysail_ready {int(manager.ready)}",
        "# HELP raysail_api_reachable Whether the API server answers.",
        "# TYPE raysail_api_reachable gauge",
        f"raysail_api_reachable {int(manager.reachability.reachable)}",
        "# HELP workqueue_depth Keys that wait for a reconcile.",
        "# TYPE workqueue_depth gauge",
        *(f'workqueue_depth{{name="{name}"}} {depth}' for name, depth in manager.backlogs().items()),
        *manager.metrics(),
    ]
    return "\n".join(lines) + "\n"

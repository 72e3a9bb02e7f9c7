"""Probes: counting results (pure) and making the checks."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import aiohttp

from raysail.api.core.containers import Container, Probe

Execute = Callable[[list[str]], Awaitable[tuple[int, str]]]
"""Runs a command in the container: (exit code, output)."""

_OUTPUT_LIMIT: Final = 10 * 1024


@dataclass(frozen=True, slots=True)
class Counted:
    """How often in a row a probe has succeeded or failed, and what that means so far. `verdict` None: not decided yet."""

    successes: int = 0
    failures: int = 0
    verdict: bool | None = None

    def count(self, probe: Probe, success: bool) -> Counted:
        """One more result. The verdict turns when the threshold is reached (pkg/kubelet/prober/worker.go)."""
        if success:
            successes = self.successes + 1
            return Counted(successes, 0, True if successes >= max(1, probe.success_threshold) else self.verdict)
        failures = self.failures + 1
        return Counted(0, failures, False if failures >= (probe.failure_threshold or 3) else self.verdict)


@dataclass(frozen=True, slots=True)
class Health:
    """What probes say of one run of a container."""

    startup: Counted = Counted()
    liveness: Counted = Counted()
    readiness: Counted = Counted()

    def started(self, container: Container) -> bool:
        """The startup probe has succeeded, or there is none."""
        return container.startup_probe is None or self.startup.verdict is True

    def ready(self, container: Container) -> bool:
        """Takes traffic."""
        return self.started(container) and (container.readiness_probe is None or self.readiness.verdict is True)

    def unhealthy(self, container: Container) -> str:
        """Why the container must be restarted; empty while it is well."""
        if container.startup_probe is not None and self.startup.verdict is False:
            return f"Container {container.name} failed startup probe, will be restarted"
        if container.liveness_probe is not None and self.liveness.verdict is False:
            return f"Container {container.name} failed liveness probe, will be restarted"
        return ""

    def count(self, kind: str, probe: Probe, success: bool) -> Health:
        """One more result of the probe `kind`."""
        return replace(self, **{kind: getattr(self, kind).count(probe, success)})


async def check(probe: Probe, address: str, ports: Mapping[str, int], execute: Execute, container: Container) -> tuple[bool, str]:
    """Makes the check once, within its time-out: (success, what was found)."""
    seconds = probe.timeout_seconds or 1
    try:
        async with asyncio.timeout(seconds):
            if probe.exec is not None:
                code, output = await execute(list(probe.exec.command or ()))
                return code == 0, output[:_OUTPUT_LIMIT]
            if probe.http_get is not None:
                return await http_get(
                    probe.http_get.scheme,
                    probe.http_get.host or address,
                    port_number(probe.http_get.port, ports),
                    probe.http_get.path,
                    {h.name: h.value for h in probe.http_get.http_headers or ()},
                )
            if probe.tcp_socket is not None:
                _, writer = await asyncio.open_connection(probe.tcp_socket.host or address, port_number(probe.tcp_socket.port, ports))
                writer.close()
                return True, ""
            if probe.grpc is not None:
                return await grpc_health(address, probe.grpc.port, probe.grpc.service or "")
    except TimeoutError:
        return False, f"command timed out after {seconds}s" if probe.exec is not None else f"no answer within {seconds}s"
    except (OSError, aiohttp.ClientError, ValueError) as error:
        return False, str(error)
    return True, f"container {container.name}: the probe has no action"


def port_number(port: int | str, ports: Mapping[str, int]) -> int:
    """A port by number or name. Raises ValueError."""
    if isinstance(port, int) or port.isdigit():
        return int(port)
    if port not in ports:
        raise ValueError(f"the container has no port named {port}")
    return ports[port]


async def http_get(scheme: str, host: str, port: int, path: str, headers: Mapping[str, str]) -> tuple[bool, str]:
    """A GET as the kubelet makes it: certificates unchecked, 200 to 399 is success. Raises OSError, aiohttp.ClientError."""
    url = f"{(scheme or 'HTTP').lower()}://{host}:{port}/{path.lstrip('/')}"
    sent = {"User-Agent": "kube-probe/1.36", "Accept": "*/*", **headers}
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False, force_close=True)) as session,
        session.get(url, headers=sent, allow_redirects=True) as answer,
    ):
        if 200 <= answer.status < 400:
            return True, ""
        return False, f"HTTP probe failed with statuscode: {answer.status}"


async def grpc_health(host: str, port: int, service: str) -> tuple[bool, str]:
    """grpc.health.v1.Health/Check over HTTP/2 without TLS, by hand: one request, one answer. Raises OSError."""
    name = service.encode()
    request = (b"\x0a" + bytes([len(name)]) + name) if name else b""
    headers = b"".join(
        _literal(key, value)
        for key, value in (
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":path", b"/grpc.health.v1.Health/Check"),
            (b":authority", f"{host}:{port}".encode()),
            (b"content-type", b"application/grpc"),
            (b"te", b"trailers"),
        )
    )
    reader, writer = await asyncio.open_connection(host, port)
    try:
        body = b"\0" + struct.pack(">I", len(request)) + request
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(4, 0, 0, b"") + _frame(1, 4, 1, headers) + _frame(0, 1, 1, body))
        await writer.drain()
        data = b""
        while True:
            head = await reader.readexactly(9)
            length, kind, flags = int.from_bytes(head[:3], "big"), head[3], head[4]
            payload = await reader.readexactly(length)
            if kind == 4 and not flags & 1:
                writer.write(_frame(4, 1, 0, b""))
            elif kind == 0:
                data += payload
                # HealthCheckResponse.status is field 1; 1 is SERVING.
                if len(data) >= 5 and len(data) >= 5 + int.from_bytes(data[1:5], "big"):
                    message = data[5 : 5 + int.from_bytes(data[1:5], "big")]
                    serving = message == b"\x08\x01"
                    return serving, "" if serving else "service unhealthy"
            elif kind in (3, 7) or (kind == 1 and flags & 1):
                return False, "the server does not implement the grpc health protocol or does not know the service"
    except asyncio.IncompleteReadError:
        return False, "the connection was closed before an answer"
    finally:
        writer.close()


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def _literal(key: bytes, value: bytes) -> bytes:
    """A header without indexing and without Huffman coding (RFC 7541, 6.2.2)."""
    return b"\0" + bytes([len(key)]) + key + bytes([len(value)]) + value


def ports_of(container: Container) -> dict[str, int]:
    """The container's ports by name."""
    return {port.name: port.container_port for port in container.ports or () if port.name}

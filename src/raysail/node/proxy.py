"""ClusterIP Services: each has a loopback address of its own, on which the agent listens and passes connections on to the Pods in turn.

TCP only. After a crash of the agent the listeners are back as soon as its successor has read the Services; connections that were open are lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import itertools
import logging
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from raysail.api.core.service import Service
from raysail.api.discovery import SERVICE_NAME_LABEL, EndpointSlice

logger = logging.getLogger(__name__)

Listen = tuple[str, int]
Backend = tuple[str, int]

_CONNECT_SECONDS: Final = 5.0
_CHUNK: Final = 1 << 16
_RETRY_SECONDS: Final = 1.0


def routes(
    services: Iterable[Service], slices: Iterable[EndpointSlice], cidr: str, api_host: str = ""
) -> dict[Listen, tuple[Backend, ...]]:
    """Which address and port stands for which Pods. Pure. Services outside the instance's range are not ours to serve.

    Nor is the API's own address (Service `kubernetes`): taken while the API is away, it could not come back.
    """
    network = ipaddress.ip_network(cidr)
    by_service: dict[tuple[str, str], list[EndpointSlice]] = {}
    for slice_ in slices:
        name = (slice_.metadata.labels or {}).get(SERVICE_NAME_LABEL, "")
        by_service.setdefault((slice_.metadata.namespace, name), []).append(slice_)
    found: dict[Listen, tuple[Backend, ...]] = {}
    for service in services:
        address = service.spec.cluster_ip
        if not address or address == api_host or service.spec.headless or ipaddress.ip_address(address) not in network:
            continue
        for port in service.spec.ports or ():
            if (port.protocol or "TCP") == "TCP":
                backends = _backends(by_service.get(service.metadata.key, []), port.name)
                found[address, port.port] = tuple(dict.fromkeys(backends))
    return found


def _backends(slices: Iterable[EndpointSlice], port_name: str) -> Iterator[Backend]:
    for slice_ in slices:
        for port in slice_.ports or ():
            if (port.name or "") == (port_name or "") and port.port is not None:
                for endpoint in slice_.endpoints or ():
                    if endpoint.conditions.ready is not False:
                        for address in endpoint.addresses or ():
                            yield address, port.port


class Proxy:
    """The listeners. `update` with the routes whenever they change."""

    def __init__(self) -> None:
        self._routes: Mapping[Listen, tuple[Backend, ...]] = {}
        self._servers: dict[Listen, asyncio.Server] = {}
        self._turns: dict[Listen, Iterator[int]] = {}
        self._changed = asyncio.Event()

    def update(self, wanted: Mapping[Listen, tuple[Backend, ...]]) -> None:
        """From now on these."""
        if wanted != self._routes:
            self._routes = dict(wanted)
            self._changed.set()

    async def run(self) -> None:
        """Listens until cancelled."""
        try:
            while True:
                await self._changed.wait()
                self._changed.clear()
                if not await self._apply():
                    # An address was not to be had yet (an earlier agent's last breath); come back to it.
                    await asyncio.sleep(_RETRY_SECONDS)
                    self._changed.set()
        finally:
            for server in self._servers.values():
                server.close()

    async def _apply(self) -> bool:
        for gone in set(self._servers) - set(self._routes):
            self._servers.pop(gone).close()
            self._turns.pop(gone, None)
        complete = True
        for listen in set(self._routes) - set(self._servers):
            try:
                self._servers[listen] = await asyncio.start_server(
                    self._handler(listen), listen[0], listen[1], reuse_address=True, backlog=512
                )
            except OSError as error:
                logger.warning("service address %s:%d cannot be served: %s", *listen, error.strerror)
                complete = False
        return complete

    def _handler(self, listen: Listen):  # type: ignore[no-untyped-def]
        turns = self._turns.setdefault(listen, itertools.count())

        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            backends = self._routes.get(listen, ())
            first = next(turns)
            for at in range(len(backends)):
                address, port = backends[(first + at) % len(backends)]
                try:
                    async with asyncio.timeout(_CONNECT_SECONDS):
                        upstream_reader, upstream_writer = await asyncio.open_connection(address, port)
                except (OSError, TimeoutError):
                    continue  # the next one, as kube-proxy does not, but a refused connection helps nobody
                await _splice(reader, writer, upstream_reader, upstream_writer)
                return
            # Nobody answers: a reset, which clients see as a refused connection.
            writer.transport.abort()

        return handle


async def _splice(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, upstream_reader: asyncio.StreamReader, upstream_writer: asyncio.StreamWriter
) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_pump(reader, upstream_writer))
            group.create_task(_pump(upstream_reader, writer))
    except* OSError:
        pass  # one side was reset: the other one is closed below
    finally:
        for each in (writer, upstream_writer):
            each.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    with contextlib.suppress(OSError):  # the other side has closed already
        writer.write_eof()

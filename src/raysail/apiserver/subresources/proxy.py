"""services/proxy, pods/proxy: an HTTP request passed on to a Pod (pkg/registry/core/{service,pod}/strategy ResourceLocation).

Only to addresses that belong to a Pod or endpoint of this instance; the client's credentials stay here.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from raysail.api.errors import StatusError, bad_request, not_found
from raysail.apiserver.rest.call import Call, Receive, Scope, Send

_CONNECT_SECONDS: Final = 5.0
# What belongs to one connection and not to the request (RFC 9110), and what only the API is to know.
_HOP_BY_HOP: Final = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade", "host"}
)
_PRIVATE: Final = frozenset({"authorization"})


@dataclass(frozen=True, slots=True)
class Address:
    """Where a request goes."""

    scheme: str
    host: str
    port: int


def split_name(name: str) -> tuple[str, str, str]:
    """(scheme, name, port) of `[https:]name[:port]` as it stands in a proxy path."""
    parts = name.split(":")
    match parts:
        case [one]:
            return "http", one, ""
        case [one, port]:
            return "http", one, port
        case [scheme, one, port] if scheme in ("http", "https", ""):
            return scheme or "http", one, port
    raise bad_request(f"invalid service request {name!r}")


def pod_address(pod: Mapping[str, Any], scheme: str, port: str) -> Address:
    """The address of a Pod's port; without one, its first container port. Raises StatusError (400)."""
    host = (pod.get("status") or {}).get("podIP")
    if not host:
        raise bad_request("address not allowed: the pod has no IP yet")
    ports = [entry for container in pod["spec"].get("containers") or () for entry in container.get("ports") or ()]
    if not port:
        number = ports[0]["containerPort"] if ports else 80
    elif port.isdigit():
        number = int(port)
    else:
        number = next((entry["containerPort"] for entry in ports if entry.get("name") == port), 0)
    if not number:
        raise bad_request(f"pod {pod['metadata']['name']!r} has no port {port!r}")
    return Address(scheme, host, number)


def service_address(service: Mapping[str, Any], slices: Sequence[Mapping[str, Any]], scheme: str, port: str) -> Address:
    """A ready endpoint of a Service's port, named or numbered. Raises StatusError (503) when there is none."""
    name = service["metadata"]["name"]
    entries = service["spec"].get("ports") or []
    chosen = next((e for e in entries if port in (e.get("name"), str(e.get("port"))) or (not port and len(entries) == 1)), None)
    if chosen is None and port:
        raise StatusError("ServiceUnavailable", f'no service port "{port}" found for service "{name}"')
    wanted = (chosen or {}).get("name", "")
    for slice_ in slices:
        number = next((p.get("port") for p in slice_.get("ports") or () if p.get("name", "") == wanted), None)
        if number is None:
            continue
        for endpoint in slice_.get("endpoints") or ():
            if (endpoint.get("conditions") or {}).get("ready") is not False and endpoint.get("addresses"):
                return Address(scheme, endpoint["addresses"][0], number)
    raise StatusError("ServiceUnavailable", f'no endpoints available for service "{name}"')


async def pods(call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    """pods/NAME/proxy/..."""
    scheme, name, port = split_name(call.target.name)
    record = call.store.get("pods", f"{call.target.namespace}/{name}")
    if record is None:
        raise not_found("", "pods", name)
    await _forward(call, pod_address(record.object(), scheme, port), scope, receive, send)


async def services(call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    """services/NAME/proxy/..."""
    scheme, name, port = split_name(call.target.name)
    namespace = call.target.namespace
    record = call.store.get("services", f"{namespace}/{name}")
    if record is None:
        raise not_found("", "services", name)
    slices = [
        found.object()
        for found in call.store.snapshot("endpointslices.discovery.k8s.io", namespace).records
        if found.labels.get("kubernetes.io/service-name") == name
    ]
    await _forward(call, service_address(record.object(), slices, scheme, port), scope, receive, send)


async def _forward(call: Call, address: Address, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        raise bad_request("a proxied connection cannot be upgraded here; use port-forward")
    query = scope["query_string"].decode("latin-1")
    url = URL(f"{address.scheme}://{address.host}:{address.port}{_path(call, scope)}{'?' + query if query else ''}", encoded=True)
    headers = CIMultiDict(
        (key.decode("latin-1"), value.decode("latin-1"))
        for key, value in scope["headers"]
        if key.decode("latin-1") not in _HOP_BY_HOP | _PRIVATE and not key.startswith(b"impersonate-")
    )
    has_body = any(key in (b"content-length", b"transfer-encoding") for key, _ in scope["headers"])
    timeout = aiohttp.ClientTimeout(total=None, connect=_CONNECT_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, auto_decompress=False, trust_env=False) as session,
            session.request(
                scope["method"],
                url,
                headers=headers,
                data=_body(receive) if has_body else None,
                allow_redirects=False,
                ssl=False,
                skip_auto_headers=("User-Agent",),
            ) as answer,
        ):
            kept = [(k.lower().encode(), v.encode("latin-1")) for k, v in answer.headers.items() if k.lower() not in _HOP_BY_HOP]
            await send({"type": "http.response.start", "status": answer.status, "headers": kept})
            async for chunk in answer.content.iter_any():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
    except aiohttp.ClientConnectorError as error:
        raise StatusError("ServiceUnavailable", f"error trying to reach service: {error}") from error
    except TimeoutError as error:
        raise StatusError("ServiceUnavailable", f"error trying to reach service: no answer in {_CONNECT_SECONDS:g} s") from error


def _path(call: Call, scope: Scope) -> str:
    """What follows `/proxy`, as it was sent."""
    path: str = scope["path"]
    rest = path.partition(f"/{call.target.name}/{call.target.subresource}")[2]
    return quote(rest, safe="/:@!$&'()*+,;=~") or "/"


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return
        with contextlib.suppress(KeyError):
            if message["body"]:
                yield message["body"]
        if not message.get("more_body"):
            return

"""The client protocol over HTTP: one connection pool, bytes in and bytes out, and a watch that is split and decoded in C.

Retries are those of client-go (rest/with_retry.go): an answer with Retry-After is waited for and asked again; nothing else is repeated, since only the
caller knows whether a write that got no answer may be repeated. Proxies from the environment are never used: they are for users' dashboards.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote, urlencode

import aiohttp
import msgspec
import orjson
from yarl import URL

from raysail.api.errors import CODES, StatusError
from raysail.api.resources import Resource
from raysail.kube.client import Event, JsonArray, JsonObject, Page, PatchType, Propagation
from raysail.kube.connection import Connection

logger = logging.getLogger(__name__)

MAX_RETRIES: Final = 10
MAX_RETRY_WAIT_SECONDS: Final = 30.0
_READ_BUFFER_BYTES: Final = 1 << 18
_METADATA: Final = "application/json;as={};g=meta.k8s.io;v=v1"
_REASONS: Final = {code: reason for reason, code in CODES.items() if reason not in ("Conflict", "Gone")}


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long is waited for what, in seconds. `watch_grace`: what a watch may outlive the end it asked for before it counts as dead."""

    connect: float = 10.0
    request: float = 65.0
    watch_grace: float = 30.0


class _ListMeta(msgspec.Struct, rename="camel"):
    resource_version: str = ""
    continue_: str = msgspec.field(name="continue", default="")


class _List(msgspec.Struct):
    metadata: _ListMeta
    items: list[msgspec.Raw] | None = None


class _Frame(msgspec.Struct):
    type: str
    object: msgspec.Raw


_decode_list: Final = msgspec.json.Decoder(_List).decode
_decode_frame: Final = msgspec.json.Decoder(_Frame).decode


class HttpClient:
    """`raysail.kube.client.Client` against one API server. Make it inside of an event loop or before; `close` it at the end."""

    def __init__(
        self,
        connection: Connection,
        *,
        timeouts: Timeouts | None = None,
        user_agent: str = "raysail",
        max_connections: int = 64,
    ) -> None:
        self.connection = connection
        self._timeouts = timeouts or Timeouts()
        self._user_agent = user_agent
        self._max_connections = max_connections
        self._base = connection.base_url
        self._requests: aiohttp.ClientSession | None = None
        self._watches: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends all connections, watches included."""
        for session in (self._requests, self._watches):
            if session is not None:
                await session.close()
        self._requests = self._watches = None

    async def get(self, resource: Resource, name: str, namespace: str | None = None, *, subresource: str = "") -> JsonObject:
        """The object."""
        return await self._json("GET", resource.path(namespace, name, subresource))

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 0,
        continue_token: str = "",
        resource_version: str = "",
        metadata_only: bool = False,
    ) -> Page:
        """One page of objects (all of them when limit is 0); as PartialObjectMetadata when only their metadata is asked for."""
        params = _given(
            labelSelector=label_selector,
            fieldSelector=field_selector,
            limit=str(limit) if limit else "",
            resourceVersion=resource_version,
        )
        if continue_token:
            params["continue"] = continue_token
        headers = {"Accept": _METADATA.format("PartialObjectMetadataList")} if metadata_only else None
        _, _, body = await self._checked("GET", resource.path(namespace), params, None, headers)
        try:
            page = _decode_list(body)
        except msgspec.MsgspecError as error:
            raise ConnectionError(f"{self.connection.server} answered a list of {resource.plural} with something else: {error}") from error
        return Page([bytes(item) for item in page.items or ()], page.metadata.resource_version, page.metadata.continue_)

    async def create(
        self,
        resource: Resource,
        body: JsonObject,
        namespace: str | None = None,
        *,
        name: str = "",
        subresource: str = "",
        field_manager: str = "",
        dry_run: bool = False,
    ) -> JsonObject:
        """POST; with `name` and `subresource` for the likes of pods/NAME/binding, serviceaccounts/NAME/token."""
        params = _given(fieldManager=field_manager, dryRun="All" if dry_run else "")
        return await self._json("POST", resource.path(namespace, name, subresource), params, body)

    async def update(
        self, resource: Resource, body: JsonObject, namespace: str | None = None, *, subresource: str = "", field_manager: str = ""
    ) -> JsonObject:
        """PUT of a whole object. Only for objects that are wholly ours and small, such as Leases."""
        path = resource.path(namespace, body["metadata"]["name"], subresource)
        return await self._json("PUT", path, _given(fieldManager=field_manager), body)

    async def patch(
        self,
        resource: Resource,
        name: str,
        patch: JsonObject | JsonArray,
        namespace: str | None = None,
        *,
        type: PatchType = PatchType.MERGE,  # noqa: A002 - the field's word
        subresource: str = "",
        field_manager: str = "",
        force: bool = False,
    ) -> JsonObject:
        """The object after the patch. Put metadata.resourceVersion (or uid) into a merge patch to make it conditional."""
        params = _given(fieldManager=field_manager, force="true" if force else "")
        return await self._json("PATCH", resource.path(namespace, name, subresource), params, patch, type.value)

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        propagation: Propagation | None = None,
        grace_seconds: int | None = None,
        uid: str = "",
        resource_version: str = "",
        dry_run: bool = False,
    ) -> JsonObject:
        """DELETE; `uid` and `resource_version` are preconditions."""
        options: JsonObject = {"kind": "DeleteOptions", "apiVersion": "v1"}
        if propagation is not None:
            options["propagationPolicy"] = propagation.value
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        preconditions = _given(uid=uid, resourceVersion=resource_version)
        if preconditions:
            options["preconditions"] = preconditions
        if dry_run:
            options["dryRun"] = ["All"]
        return await self._json("DELETE", resource.path(namespace, name), None, options)

    async def watch(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
        timeout_seconds: int = 0,
        metadata_only: bool = False,
        on_open: Callable[[], None] | None = None,
    ) -> AsyncGenerator[Event, None]:
        """Changes after that version until the server ends the stream. An ERROR event is raised as StatusError (410 Expired: list again)."""
        params = _given(
            watch="true",
            allowWatchBookmarks="true",
            resourceVersion=resource_version,
            labelSelector=label_selector,
            fieldSelector=field_selector,
            timeoutSeconds=str(timeout_seconds) if timeout_seconds else "",
        )
        headers = {"Accept": _METADATA.format("PartialObjectMetadata")} if metadata_only else None
        total = timeout_seconds + self._timeouts.watch_grace if timeout_seconds else None
        chunks = self.stream("GET", resource.path(namespace), params=params, headers=headers, total_seconds=total, on_open=on_open)
        async with contextlib.aclosing(chunks):
            async for lines in _lines(chunks):
                for line in lines:
                    if not line:
                        continue
                    frame = _decode_frame(line)
                    if frame.type == "ERROR":
                        raise StatusError.from_status(msgspec.json.decode(frame.object))
                    yield Event(frame.type, bytes(frame.object))

    async def stream(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        total_seconds: float | None = None,
        on_open: Callable[[], None] | None = None,
    ) -> AsyncGenerator[bytes, None]:
        """The body of a long answer (a watch, a followed log) as it arrives, in pieces of any size."""
        session = self._watches
        if session is None:
            session = self._watches = self._session(0)
        timeout = aiohttp.ClientTimeout(total=total_seconds, sock_connect=self._timeouts.connect)
        for attempt in range(2):
            sent = {**await self.connection.credentials.headers(), **(headers or {})}
            try:
                async with session.request(
                    method, self._url(path, params), headers=sent, timeout=timeout, **self._tls_options()
                ) as response:
                    if response.status == 401 and attempt == 0 and self.connection.credentials.refresh():
                        continue
                    if response.status >= 400:
                        raise _refusal(response.status, await response.read())
                    if on_open is not None:
                        on_open()
                    async for chunk in response.content.iter_any():
                        yield chunk
                    return
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise self._unreachable(error, path) from error

    async def raw(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Any request, unraised: (HTTP status, headers, body). Raises ConnectionError when out of reach."""
        waited = 0
        for attempt in range(MAX_RETRIES + 1):
            sent = {**await self.connection.credentials.headers(), **(headers or {})}
            status, answered, content = await self._once(method, self._url(path, params), body, sent)
            if status == 401 and attempt == 0 and self.connection.credentials.refresh():
                continue
            wait = _retry_wait(status, answered)
            if wait is None or waited == MAX_RETRIES:
                break
            waited += 1
            logger.info("%s %s: HTTP %d, asked to come again in %g s", method, path, status, wait)
            await asyncio.sleep(wait)
        return status, answered, content

    async def _once(self, method: str, url: URL, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, Mapping[str, str], bytes]:
        session = self._requests
        if session is None:
            session = self._requests = self._session(self._max_connections)
        try:
            async with session.request(method, url, data=body, headers=headers, **self._tls_options()) as response:
                return response.status, response.headers, await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise self._unreachable(error, url.path) from error

    async def _checked(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Mapping[str, str], bytes]:
        status, answered, content = await self.raw(method, path, params=params, body=body, headers=headers)
        if status >= 400:
            raise _refusal(status, content)
        return status, answered, content

    async def _json(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None = None,
        body: JsonObject | JsonArray | None = None,
        content_type: str = "application/json",
    ) -> JsonObject:
        data = None if body is None else orjson.dumps(body)
        headers = {"Accept": "application/json"} if data is None else {"Accept": "application/json", "Content-Type": content_type}
        status, _, content = await self._checked(method, path, params, data, headers)
        try:
            result = orjson.loads(content) if content else {}
        except orjson.JSONDecodeError as error:
            raise ConnectionError(
                f"{self.connection.server} answered {method} {path} (HTTP {status}) with something that is not JSON"
            ) from error
        if not isinstance(result, dict):
            raise ConnectionError(f"{self.connection.server} answered {method} {path} (HTTP {status}) with something that is not an object")
        return result

    def _url(self, path: str, params: Mapping[str, str] | None) -> URL:
        query = f"?{urlencode(params)}" if params else ""
        return URL(f"{self._base}{quote(path, safe='/:@-._~')}{query}", encoded=True)

    def _tls_options(self) -> dict[str, Any]:
        return {"server_hostname": self.connection.tls_server_name} if self.connection.tls_server_name else {}

    def _session(self, limit: int) -> aiohttp.ClientSession:
        connector: aiohttp.BaseConnector
        if self.connection.socket_path:
            connector = aiohttp.UnixConnector(self.connection.socket_path, limit=limit)
        else:
            context = self.connection.ssl_context()
            connector = aiohttp.TCPConnector(limit=limit, ssl=context) if context else aiohttp.TCPConnector(limit=limit)
        headers = {"User-Agent": self._user_agent}
        if self.connection.socket_path:
            headers["Accept-Encoding"] = "identity"  # nothing is gained by compressing what never leaves the machine
        if self.connection.impersonate:
            headers["Impersonate-User"] = self.connection.impersonate
        return aiohttp.ClientSession(
            connector=connector,
            headers=[*headers.items(), *(("Impersonate-Group", group) for group in self.connection.impersonate_groups)],
            timeout=aiohttp.ClientTimeout(total=self._timeouts.request, sock_connect=self._timeouts.connect),
            read_bufsize=_READ_BUFFER_BYTES,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        )

    def _unreachable(self, error: Exception, path: str) -> ConnectionError:
        if isinstance(error, TimeoutError):
            return ConnectionError(f"{self.connection.server} did not answer {path} in time")
        text = str(error) or type(error).__name__
        return ConnectionError(f"cannot talk to the API server at {self.connection.server}: {text}")


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[list[bytes]]:
    """Whole lines from pieces of any size, as many at once as arrived; an unfinished last line is dropped, since its object may be cut."""
    begun: list[bytes] = []
    async for chunk in chunks:
        begun.append(chunk)
        if b"\n" in chunk:
            whole = b"".join(begun).split(b"\n")
            begun = [rest] if (rest := whole.pop()) else []
            yield whole


def _given(**params: str) -> dict[str, str]:
    return {name: value for name, value in params.items() if value}


def _retry_wait(status: int, headers: Mapping[str, str]) -> float | None:
    after = headers.get("Retry-After", "")
    if (status != 429 and status < 500) or not after.isdigit():
        return None
    return min(float(after), MAX_RETRY_WAIT_SECONDS)


def _refusal(status: int, body: bytes) -> StatusError:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        answer = None
    if isinstance(answer, dict) and answer.get("kind") == "Status":
        return StatusError.from_status(answer, status)
    text = body.decode(errors="replace").strip()[:1000]
    return StatusError(_REASONS.get(status, "InternalError"), text or f"the server answered with HTTP status {status}", status)

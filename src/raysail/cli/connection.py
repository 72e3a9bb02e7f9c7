"""The command line's own small client: synchronous, over the instance's Unix socket, on the standard library (importing it takes 20 ms)."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson

from raysail.api.errors import StatusError
from raysail.api.resources import Resource
from raysail.instance.home import Home, InstanceError, current

JsonObject = dict[str, Any]


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_seconds: float | None) -> None:
        super().__init__("localhost", timeout=timeout_seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Api:
    """Requests to the instance's API as its owner. Raises StatusError when refused, InstanceError when nothing answers."""

    def __init__(self, home: Home | None = None, timeout_seconds: float | None = 30.0) -> None:
        self.home = home or current()
        self._timeout_seconds = timeout_seconds
        self._connection: _UnixConnection | None = None

    def request(
        self, method: str, path: str, body: Any = None, *, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        """The decoded answer (dict for JSON, text for text/plain)."""
        try:
            with self._send(method, path, body, params, headers) as response:
                data = response.read()
        except (http.client.HTTPException, ConnectionError) as error:
            self._connection = None
            raise InstanceError(
                f"the API ended while it answered {method} {path}: `raysail status` says whether it is back; then try again"
            ) from error
        if response.headers.get_content_type() == "text/plain" and response.status < 400:
            return data.decode()
        try:
            document = orjson.loads(data) if data else {}
        except orjson.JSONDecodeError:
            document = {"message": data.decode("utf-8", "replace")[:500], "reason": response.reason}
        if response.status >= 400:
            raise StatusError.from_status(document, response.status)
        return document

    def stream(self, path: str, params: Mapping[str, str]) -> Iterator[bytes]:
        """Lines of a long answer (a watch, a followed log) as they come."""
        connection = self._connect(None)
        connection.request("GET", f"{path}?{urlencode(params)}")
        response = connection.getresponse()
        if response.status >= 400:
            raise StatusError.from_status(orjson.loads(response.read()), response.status)
        with response:
            while line := response.readline():
                yield line

    def get(self, resource: Resource, name: str, namespace: str | None = None) -> JsonObject:
        """One object."""
        found: JsonObject = self.request("GET", resource.path(namespace, name))
        return found

    def list(self, resource: Resource, namespace: str | None = None, **params: str) -> Any:
        """All objects of a kind, as a list of dicts. `params` are query parameters such as labelSelector."""
        items = self.request("GET", resource.path(namespace), params=params)["items"]
        for item in items:
            item.setdefault("apiVersion", resource.api_version)
            item.setdefault("kind", resource.kind)
        return items

    def create(self, resource: Resource, body: JsonObject, namespace: str | None = None, *, dry_run: bool = False) -> JsonObject:
        """POST."""
        params = {"fieldManager": "raysail"} | ({"dryRun": "All"} if dry_run else {})
        created: JsonObject = self.request("POST", resource.path(namespace), body, params=params)
        return created

    def apply(self, path: str, body: JsonObject, *, dry_run: bool = False) -> JsonObject:
        """Server-side apply as field manager `raysail`."""
        params = {"fieldManager": "raysail", "force": "true"} | ({"dryRun": "All"} if dry_run else {})
        applied: JsonObject = self.request("PATCH", path, body, params=params, headers={"Content-Type": "application/apply-patch+yaml"})
        return applied

    def merge(self, path: str, patch: JsonObject, *, dry_run: bool = False) -> JsonObject:
        """Merge patch."""
        params = {"dryRun": "All"} if dry_run else {}
        patched: JsonObject = self.request("PATCH", path, patch, params=params, headers={"Content-Type": "application/merge-patch+json"})
        return patched

    def delete(self, path: str, propagation: str = "Background", *, dry_run: bool = False) -> JsonObject:
        """DELETE."""
        options = {"propagationPolicy": propagation} | ({"dryRun": ["All"]} if dry_run else {})
        deleted: JsonObject = self.request("DELETE", path, options)
        return deleted

    def _connect(self, timeout_seconds: float | None) -> _UnixConnection:
        if not self.home.api_socket.exists():
            raise InstanceError(f"raysail is not running for {self.home.path}: start it with `raysail up`")
        connection = _UnixConnection(self.home.api_socket, timeout_seconds)
        try:
            connection.connect()
        except OSError as error:
            raise InstanceError(
                f"nothing answers on {self.home.api_socket} ({error.strerror}): see `raysail status`, and {self.home.logs / 'apiserver.log'} for the cause"
            ) from error
        return connection

    def _send(
        self, method: str, path: str, body: Any, params: Mapping[str, str] | None, headers: Mapping[str, str] | None
    ) -> http.client.HTTPResponse:
        data = orjson.dumps(body) if body is not None else None
        target = f"{path}?{urlencode(params)}" if params else path
        sent = {"Content-Type": "application/json", "User-Agent": "raysail"} | dict(headers or {})
        for attempt in (1, 2):
            if self._connection is None:
                self._connection = self._connect(self._timeout_seconds)
            try:
                self._connection.request(method, target, data, sent)
                return self._connection.getresponse()
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                # A kept connection that the server closed meanwhile; only reads are safe to send again.
                self._connection.close()
                self._connection = None
                if attempt == 2 or method != "GET":
                    raise
        raise AssertionError("unreachable")

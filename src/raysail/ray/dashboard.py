"""Speaking to Ray's dashboard: jobs and Ray Serve (KubeRay utils/dashboardclient; Ray's own REST API of jobs).

URLs are KubeRay's, `http://<service>.<namespace>.svc.<domain>:<port>`. HTTP_PROXY and NO_PROXY are honoured. Where a `Resolver` is given (we run
outside Pods), Service names become addresses by it and not by DNS.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, Final, Self

import aiohttp
import orjson
from aiohttp.abc import AbstractResolver, ResolveResult

from raysail.kube.client import Client
from raysail.ray.job.steps import Answer, NotFound, RayJobInfo, Submitted, Unreachable

TOKEN_HEADER: Final = "x-ray-authorization"  # noqa: S105 - the name of a header
_ERROR_LENGTH: Final = 500
_REFUSALS: Final = (401, 403)
_PROXY_SECONDS: Final = 10

Addresses = Callable[[str], str | None]
"""The address behind a Service's qualified name; None where nobody knows it."""


class DashboardError(Exception):
    """A dashboard gave no answer, or refused."""


class ServiceResolver(AbstractResolver):
    """Resolves Services by what the API knows, everything else by DNS."""

    def __init__(self, addresses: Addresses) -> None:
        self._addresses = addresses
        self._others = aiohttp.ThreadedResolver()

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        """One address for a Service. Raises OSError where it has none yet."""
        if ".svc." not in host:
            return await self._others.resolve(host, port, family)
        address = self._addresses(host)
        if not address:
            raise OSError(None, f"no address is known for the Service {host}")
        return [ResolveResult(hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=socket.AI_NUMERICHOST)]

    async def close(self) -> None:
        """Ends the DNS resolver."""
        await self._others.close()


class Dashboard:
    """One session for all dashboards."""

    def __init__(self, *, timeout_seconds: float, addresses: Addresses | None = None, proxy: Client | None = None) -> None:
        """`proxy`: go through the API server's proxy to Services (--use-kubernetes-proxy), where Pods are out of reach."""
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._proxy = proxy
        self._addresses = addresses
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def run(self) -> None:
        """Nothing but the end: closes all connections when cancelled. For a process that does not end otherwise."""
        async with self:
            await asyncio.Event().wait()

    async def close(self) -> None:
        """Ends all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def job_info(self, url: str, token: str, job_id: str) -> Answer:
        """How a job is."""
        try:
            code, body = await self._request("GET", url, token, f"/api/jobs/{job_id}")
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            return Unreachable(_told(error))
        if code == 404:
            return NotFound()
        if not 200 <= code <= 299:
            return Unreachable(f"GetJobInfo fail: HTTP {code} {_shown(body)}", refused=code in _REFUSALS)
        try:
            info = orjson.loads(body)
            return RayJobInfo(
                status=info.get("status") or "",
                message=info.get("message") or "",
                start_ms=info.get("start_time") or 0,
                end_ms=info.get("end_time") or 0,
            )
        except (ValueError, AttributeError):
            return Unreachable(f"GetJobInfo fail: HTTP {code} {_shown(body)}")

    async def submit(self, url: str, token: str, body: dict[str, Any]) -> Answer:
        """Hands a program to Ray."""
        try:
            code, answer = await self._request("POST", url, token, "/api/jobs/", body)
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            return Unreachable(_told(error))
        if 200 <= code <= 299:
            return Submitted()
        return Unreachable(f"SubmitJob fail: HTTP {code} {_shown(answer)}", refused=code in _REFUSALS)

    async def stop(self, url: str, token: str, job_id: str) -> str:
        """Asks Ray to stop a job; empty when Ray has taken it, else why not."""
        try:
            code, answer = await self._request("POST", url, token, f"/api/jobs/{job_id}/stop")
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            return _told(error)
        return "" if 200 <= code <= 299 else f"HTTP {code} {_shown(answer)}"

    async def serve_details(self, url: str, token: str) -> dict[str, Any]:
        """Ray Serve's applications by name. Raises DashboardError."""
        try:
            code, body = await self._request("GET", url, token, "/api/serve/applications/?api_type=declarative")
            applications = orjson.loads(body).get("applications") if 200 <= code <= 299 else None
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, AttributeError) as error:
            raise DashboardError(f"failed to get Serve application statuses from the dashboard: {_told(error)}") from error
        if not 200 <= code <= 299:
            raise DashboardError(f"failed to get Serve application statuses from the dashboard: HTTP {code} {_shown(body)}")
        return applications or {}

    async def put_serve_config(self, url: str, token: str, config: dict[str, Any]) -> None:
        """Tells Ray Serve what to run. Raises DashboardError."""
        try:
            code, body = await self._request("PUT", url, token, "/api/serve/applications/", config)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise DashboardError(f"fail to create / update Serve applications: {_told(error)}") from error
        if not 200 <= code <= 299:
            raise DashboardError(f"fail to create / update Serve applications: HTTP {code} {_shown(body)}")

    async def proxy_is_healthy(self, pod_ip: str, port: int) -> bool:
        """Whether Ray Serve's proxy in a Pod takes requests."""
        try:
            async with self._opened().get(f"http://{pod_ip}:{port}/-/healthz") as response:
                return response.status == 200
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False

    async def _request(self, method: str, url: str, token: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, bytes]:
        headers = {TOKEN_HEADER: f"Bearer {token}"} if token else {}
        if method != "GET":
            headers["Content-Type"] = "application/json"
        data = orjson.dumps(body) if body is not None else None
        if self._proxy is not None:
            service, namespace, *_ = url.split(".")
            path = f"/api/v1/namespaces/{namespace}/services/{service}:dashboard/proxy{path}"
            code, _, answer = await asyncio.wait_for(self._proxy.raw(method, path, body=data, headers=headers), _PROXY_SECONDS)
            return code, answer
        async with self._opened().request(method, f"http://{url}{path}", data=data, headers=headers, allow_redirects=False) as response:
            return response.status, await response.read()

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            resolver = ServiceResolver(self._addresses) if self._addresses else None
            connector = aiohttp.TCPConnector(limit=256, ttl_dns_cache=1, use_dns_cache=resolver is None, resolver=resolver)
            self._session = aiohttp.ClientSession(connector=connector, timeout=self._timeout, trust_env=True)
        return self._session


def _told(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _shown(body: bytes) -> str:
    return body[:_ERROR_LENGTH].decode(errors="replace")

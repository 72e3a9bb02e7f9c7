"""Answers for paths that name no resource."""

from __future__ import annotations

import platform
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from raysail.api.errors import StatusError
from raysail.api.openapi import KUBERNETES_VERSION
from raysail.apiserver.discovery.documents import AGGREGATED_TYPE, Discovery
from raysail.apiserver.rest.accept import DISCOVERY, negotiate
from raysail.apiserver.rest.answer import JSON, Answer, error_answer, json_answer, text_answer

OpenApi = Callable[[str, Mapping[str, str], str], Awaitable[Answer | None]]
"""(path, query, accept) -> the answer for /openapi/..., or None."""
Check = Callable[[], str]
"""A health check: empty when well, else what is wrong."""


class Pages:
    """Discovery, version, health; OpenAPI through the function that makes it."""

    def __init__(self, discovery: Discovery, openapi: OpenApi | None, checks: dict[str, Check]) -> None:
        self._discovery = discovery
        self._openapi = openapi
        self._checks = checks

    async def __call__(self, method: str, path: str, query: Mapping[str, str], accept: str) -> Answer | None:
        """The answer, or None when there is no such path."""
        if path.startswith("/openapi/"):
            return await self._openapi(path, query, accept) if self._openapi else None
        health = _health_root(path)
        if health:
            return self._health(health, path, query)
        if path.rstrip("/") in ("/api", "/apis") or path.startswith(("/api/", "/apis/")):
            if method not in ("GET", "HEAD"):
                return _not_allowed()
            return self._discover(path.rstrip("/"), accept)
        if path == "/version":
            return json_answer(version())
        if path in ("", "/"):
            return json_answer({"paths": self._paths()})
        return None

    def _discover(self, path: str, accept: str) -> Answer | None:
        parts = path.split("/")[1:]
        if len(parts) == 1:
            core = parts[0] == "api"
            if accept and negotiate(accept).kind == DISCOVERY:
                return Answer(200, self._discovery.aggregated(core=core), AGGREGATED_TYPE, [(b"vary", b"Accept")])
            return _document(self._discovery.core_versions() if core else self._discovery.group_list())
        if parts[0] == "api":
            body = self._discovery.resource_list("", parts[1]) if len(parts) == 2 else None
        elif len(parts) == 2:
            body = self._discovery.group(parts[1])
        else:
            body = self._discovery.resource_list(parts[1], parts[2])
            if body is None and self._discovery.own_group(parts[1]):
                return error_answer(StatusError("NotFound", "the server could not find the requested resource", empty_details=True))
        return None if body is None else _document(body)

    def _health(self, root: str, path: str, query: Mapping[str, str]) -> Answer | None:
        name = path.removeprefix(root).strip("/")
        if name:
            if name not in self._checks:
                return None
            fault = self._checks[name]()
            return text_answer("ok" if not fault else f"internal server error: {fault}\n", 200 if not fault else 500)
        lines, failed = [], False
        for check, run in self._checks.items():
            if check in query.get("exclude", "").split(","):
                continue
            fault = run()
            failed = failed or bool(fault)
            lines.append(f"[-]{check} failed: {fault}" if fault else f"[+]{check} ok")
        word = root.strip("/")
        if failed:
            return text_answer("\n".join([*lines, f"{word} check failed", ""]), 500)
        if "verbose" in query:
            return text_answer("\n".join([*lines, f"{word} check passed", ""]))
        return text_answer("ok")

    def _paths(self) -> list[str]:
        groups = self._discovery.paths()
        return sorted([*groups, "/healthz", "/livez", "/openapi/v2", "/openapi/v3", "/readyz", "/version"])


_HEALTH: Final = ("/healthz", "/livez", "/readyz")


def _health_root(path: str) -> str:
    return next((root for root in _HEALTH if path == root or path.startswith(root + "/")), "")


def version() -> dict[str, str]:
    """GET /version."""
    major, minor, _ = KUBERNETES_VERSION.removeprefix("v").split(".")
    return {
        "major": major,
        "minor": minor,
        "gitVersion": f"{KUBERNETES_VERSION}+raysail",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "cpython",
        "platform": f"linux/{ {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(platform.machine(), platform.machine()) }",
    }


def _document(body: bytes) -> Answer:
    return Answer(200, body, JSON)


def _not_allowed() -> Answer:
    return text_answer("Method Not Allowed\n", 405)

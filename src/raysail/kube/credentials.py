"""How a client says who it is: a bearer token, a password, or what a program on this machine hands out (exec plugins).

A `Credentials` gives the headers of the next request; `refresh` is called once after a 401, so that a revoked or rotated token is replaced.
Exec plugins: client.authentication.k8s.io (k8s.io/client-go plugin/pkg/client/auth/exec). Token files are read again as client-go does, since a
projected service-account token changes under a running process.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from raysail.api.meta import parse_time

TOKEN_FILE_REREAD_SECONDS: Final = 60
EXEC_TIMEOUT_SECONDS: Final = 120


class CredentialError(ConnectionError):
    """Credentials could not be had; the message says what to do. A ConnectionError, since the server is out of reach without them for now."""


class Credentials(Protocol):
    """Who we are."""

    async def headers(self) -> Mapping[str, str]:
        """The headers of the next request. Raises CredentialError."""
        ...

    def refresh(self) -> bool:
        """The server refused these credentials: forget them. True if asking again may help."""
        ...


@dataclass(slots=True)
class StaticHeaders:
    """Headers that never change (none for anonymous access and client certificates)."""

    values: Mapping[str, str] = field(default_factory=dict)

    async def headers(self) -> Mapping[str, str]:
        """The same every time."""
        return self.values

    def refresh(self) -> bool:
        """There is nothing else to try."""
        return False


def bearer(token: str) -> StaticHeaders:
    """A fixed bearer token."""
    return StaticHeaders({"Authorization": f"Bearer {token}"})


def basic(username: str, password: str) -> StaticHeaders:
    """HTTP basic authentication."""
    text = base64.b64encode(f"{username}:{password}".encode()).decode()
    return StaticHeaders({"Authorization": f"Basic {text}"})


@dataclass(slots=True)
class TokenFile:
    """A bearer token in a file that someone else keeps fresh."""

    path: Path
    _token: str = ""
    _read_at: float = float("-inf")

    async def headers(self) -> Mapping[str, str]:
        """The token as the file has it, read at most once a minute. Raises CredentialError."""
        now = asyncio.get_running_loop().time()
        if now - self._read_at >= TOKEN_FILE_REREAD_SECONDS:
            try:
                self._token = self.path.read_text().strip()
            except OSError as error:
                raise CredentialError(f"cannot read the token file {self.path}: {error.strerror}") from error
            self._read_at = now
        return {"Authorization": f"Bearer {self._token}"}

    def refresh(self) -> bool:
        """Reads the file again for the next request."""
        self._read_at = float("-inf")
        return True


@dataclass(slots=True)
class ExecPlugin:
    """A program that prints an ExecCredential. Its token is kept until it expires or is refused.

    Client certificates that such a program may print are not supported: the connection is set up before.
    """

    command: str
    arguments: Sequence[str]
    environment: Mapping[str, str]
    api_version: str
    install_hint: str = ""
    cluster: Mapping[str, Any] | None = None
    directory: Path | None = None
    _token: str = ""
    _expires_at: datetime | None = None
    _running: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def headers(self) -> Mapping[str, str]:
        """The present token, from a run of the program if there is none. Raises CredentialError."""
        async with self._running:
            if not self._token or (self._expires_at and datetime.now(UTC) >= self._expires_at):
                await self._run()
        return {"Authorization": f"Bearer {self._token}"}

    def refresh(self) -> bool:
        """The next request runs the program again."""
        self._token = ""
        return True

    async def _run(self) -> None:
        info: dict[str, Any] = {"kind": "ExecCredential", "apiVersion": self.api_version, "spec": {"interactive": False}}
        if self.cluster is not None:
            info["spec"]["cluster"] = dict(self.cluster)
        environment = {**os.environ, **self.environment, "KUBERNETES_EXEC_INFO": msgspec.json.encode(info).decode()}
        try:
            process = await asyncio.create_subprocess_exec(
                self.command,
                *self.arguments,
                env=environment,
                cwd=self.directory,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            hint = f"\n{self.install_hint}" if self.install_hint else ""
            raise CredentialError(f"cannot start the credential plugin {self.command!r}: {error.strerror}{hint}") from error
        try:
            out, complaints = await asyncio.wait_for(process.communicate(), EXEC_TIMEOUT_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
            raise CredentialError(f"the credential plugin {self.command!r} did not answer within {EXEC_TIMEOUT_SECONDS} s") from None
        if process.returncode:
            text = complaints.decode(errors="replace").strip()[-2000:]
            raise CredentialError(f"the credential plugin {self.command!r} failed with exit code {process.returncode}: {text}")
        self._token, self._expires_at = _read_exec_credential(out, self.command, self.api_version)


def _read_exec_credential(text: bytes, command: str, api_version: str) -> tuple[str, datetime | None]:
    try:
        credential = msgspec.json.decode(text)
        status: Mapping[str, Any] = credential["status"]
        said = credential.get("apiVersion")
        expires = parse_time(status["expirationTimestamp"]) if status.get("expirationTimestamp") else None
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise CredentialError(f"the credential plugin {command!r} did not print an ExecCredential: {error}") from error
    if said != api_version:
        raise CredentialError(
            f"the credential plugin {command!r} answered with apiVersion {said!r}; the kubeconfig asks for {api_version!r}"
        )
    token = status.get("token")
    if not token:
        raise CredentialError(
            f"the credential plugin {command!r} printed no token; plugins that print client certificates are not supported"
        )
    # A minute early, so that no request carries a token that expires on its way.
    return str(token), expires - timedelta(seconds=60) if expires else None

"""A real kube-apiserver with etcd on loopback, from the binaries in the folder that KUBEBUILDER_ASSETS names (docs: ../shared/notes/envtest.md)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from raysail.kube.connection import Connection
from raysail.kube.credentials import bearer
from raysail.kube.http import HttpClient
from tests.support.embedded import short_folder

READY_SECONDS = 60


def assets() -> Path | None:
    """Where the binaries are; None when they are not named or not there."""
    folder = Path(os.environ.get("KUBEBUILDER_ASSETS") or "/nonexistent")
    return folder if all((folder / name).exists() for name in ("etcd", "kube-apiserver")) else None


@dataclass(slots=True)
class KubeApi:
    """As much of `EmbeddedApi` as tests of controllers need."""

    folder: Path
    url: str
    client: HttpClient


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.asynccontextmanager
async def kube_apiserver(**_: object) -> AsyncIterator[KubeApi]:
    """Started afresh, with nothing in it; admission of service accounts is off, since nobody makes them."""
    binaries = assets()
    assert binaries is not None
    with short_folder(None) as folder:
        token, port, client_port, peer_port = secrets.token_hex(16), _free_port(), _free_port(), _free_port()
        (folder / "tokens.csv").write_text(f'{token},admin,admin,"system:masters"\n')
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
        (folder / "sa.key").write_bytes(pem)
        etcd, peer = f"http://127.0.0.1:{client_port}", f"http://127.0.0.1:{peer_port}"
        commands = {
            "etcd": [
                "--data-dir", str(folder / "etcd"), "--unsafe-no-fsync", "--log-level=error", f"--listen-client-urls={etcd}",
                f"--advertise-client-urls={etcd}", f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
                f"--initial-cluster=default={peer}",
            ],
            "kube-apiserver": [
                f"--etcd-servers={etcd}", f"--cert-dir={folder / 'certs'}", "--bind-address=127.0.0.1", f"--secure-port={port}",
                f"--token-auth-file={folder / 'tokens.csv'}", "--authorization-mode=RBAC", "--service-account-issuer=https://kubernetes.default.svc",
                f"--service-account-key-file={folder / 'sa.key'}", f"--service-account-signing-key-file={folder / 'sa.key'}",
                "--service-cluster-ip-range=10.0.0.0/16", "--disable-admission-plugins=ServiceAccount", "--advertise-address=127.0.0.1",
                "--endpoint-reconciler-type=none",
            ],
        }  # fmt: skip
        processes = []
        try:
            for name, flags in commands.items():
                with (folder / f"{name}.log").open("wb") as log:
                    processes.append(await asyncio.create_subprocess_exec(str(binaries / name), *flags, stdout=log, stderr=log))
            url = f"https://127.0.0.1:{port}"
            await _ready(folder / "certs" / "apiserver.crt", url, token)
            authority = (folder / "certs" / "apiserver.crt").read_text()
            async with HttpClient(Connection(url, ca_pem=authority, credentials=bearer(token))) as client:
                yield KubeApi(folder, url, client)
        finally:
            for process in reversed(processes):
                with contextlib.suppress(ProcessLookupError):
                    process.terminate()
                await process.wait()


async def _ready(certificate: Path, url: str, token: str) -> None:
    async with asyncio.timeout(READY_SECONDS):
        while True:
            if certificate.exists():
                async with HttpClient(Connection(url, ca_pem=certificate.read_text(), credentials=bearer(token))) as client:
                    with contextlib.suppress(ConnectionError):
                        status, _, _ = await client.raw("GET", "/readyz")
                        if status == 200:
                            return
            await asyncio.sleep(0.2)

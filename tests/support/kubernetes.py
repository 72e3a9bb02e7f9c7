"""A real Kubernetes control plane on loopback: etcd and kube-apiserver, and of kube-controller-manager those controllers that are asked for.

The binaries are those of `make envtest` (or of the folder that KUBEBUILDER_ASSETS names). Nothing runs Pods and nothing binds them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import Sequence
from pathlib import Path

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tools.envtest import build

from raysail.apiserver.access import certificates, pki
from raysail.kube.connection import Connection
from raysail.kube.credentials import bearer
from raysail.kube.http import HttpClient

READY_SECONDS = 90
FRONT_PROXY = "front-proxy-client"
"""The name under which kube-apiserver passes requests on to aggregated API servers."""
MISSING = "needs a real kube-apiserver: `make envtest` builds one (or name a folder of binaries with KUBEBUILDER_ASSETS)"


def assets(*needed: str) -> Path | None:
    """The folder of the binaries, etcd and kube-apiserver at least; None where there is none."""
    named = os.environ.get("KUBEBUILDER_ASSETS")
    names = {"etcd", "kube-apiserver", *needed}
    cached = Path(build.cache_folder())
    for folder in (*([Path(named)] if named else ()), cached):
        if all(os.access(folder / name, os.X_OK) for name in names):
            return Path(folder)
    return None


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Kubernetes:
    """Started afresh with nothing in it; the same face as `tests.support.embedded.ApiProcess` where tests need it."""

    def __init__(self, folder: Path) -> None:
        """Admission of service accounts is off, since nobody makes them."""
        found = assets()
        if found is None:
            raise RuntimeError(MISSING)
        self.folder = folder
        self.binaries = found
        self.token = secrets.token_hex(16)
        self.url = ""
        self.ca = folder / "certs" / "apiserver.crt"
        self._processes: dict[str, asyncio.subprocess.Process] = {}

    async def start(self) -> None:
        """Returns once it is ready."""
        self._write_keys()
        client_port, peer_port, port = free_port(), free_port(), free_port()
        etcd, peer = f"http://127.0.0.1:{client_port}", f"http://127.0.0.1:{peer_port}"
        key, front = self.folder / "sa.key", self.folder / "front-proxy"
        await self._run(
            "etcd",
            "--data-dir", str(self.folder / "etcd"), "--unsafe-no-fsync", "--log-level=error", f"--listen-client-urls={etcd}",
            f"--advertise-client-urls={etcd}", f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}", "--quota-backend-bytes=4294967296",
        )  # fmt: skip
        await self._run(
            "kube-apiserver",
            f"--etcd-servers={etcd}", f"--cert-dir={self.ca.parent}", "--bind-address=127.0.0.1", f"--secure-port={port}",
            f"--token-auth-file={self.folder / 'tokens.csv'}", "--authorization-mode=RBAC", f"--service-account-key-file={key}",
            "--service-account-issuer=https://kubernetes.default.svc", f"--service-account-signing-key-file={key}",
            "--service-cluster-ip-range=10.0.0.0/16", "--disable-admission-plugins=ServiceAccount", "--advertise-address=127.0.0.1",
            "--endpoint-reconciler-type=none", "--event-ttl=24h", "--max-requests-inflight=2000", "--max-mutating-requests-inflight=1000",
            f"--requestheader-client-ca-file={front / 'ca.crt'}", f"--requestheader-allowed-names={FRONT_PROXY}",
            "--requestheader-username-headers=X-Remote-User", "--requestheader-group-headers=X-Remote-Group",
            "--requestheader-extra-headers-prefix=X-Remote-Extra-", f"--proxy-client-cert-file={front / 'client.crt'}",
            f"--proxy-client-key-file={front / 'client.key'}",
        )  # fmt: skip
        self.url = f"https://127.0.0.1:{port}"
        async with asyncio.timeout(READY_SECONDS):
            while not await self._ready():
                await asyncio.sleep(0.2)

    async def start_controllers(self, controllers: Sequence[str]) -> None:
        """Those of kube-controller-manager. After the CRDs are there: its garbage collector looks for new kinds every 30 s only."""
        await self._run(
            "kube-controller-manager",
            f"--kubeconfig={self.kubeconfig()}", f"--controllers={','.join(controllers)}", "--leader-elect=false",
            "--use-service-account-credentials=false", f"--secure-port={free_port()}", "--bind-address=127.0.0.1",
            f"--cert-dir={self.folder / 'controller-certs'}", f"--authentication-kubeconfig={self.kubeconfig()}",
            f"--authorization-kubeconfig={self.kubeconfig()}", "--concurrent-gc-syncs=20", "--kube-api-qps=500", "--kube-api-burst=1000",
        )  # fmt: skip

    async def stop(self) -> None:
        """SIGTERM to all, the last started first; waits until they have ended."""
        for process in reversed(self._processes.values()):
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(15):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        self._processes.clear()

    def pids(self) -> dict[str, int]:
        """Process ids by name of the program."""
        return {name: process.pid for name, process in self._processes.items()}

    def connection(self) -> Connection:
        """As a member of system:masters."""
        return Connection(self.url, ca_pem=self.ca.read_text(), credentials=bearer(self.token))

    def client(self) -> HttpClient:
        """A client as a member of system:masters."""
        return HttpClient(self.connection())

    def kubeconfig(self) -> Path:
        """Writes a kubeconfig; gives its path."""
        path = self.folder / "kubeconfig"
        cluster, user = {"server": self.url, "certificate-authority": str(self.ca)}, {"token": self.token}
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }
        path.write_text(yaml.safe_dump(document))
        return path

    async def _run(self, name: str, *flags: str) -> None:
        with (self.folder / f"{name}.log").open("wb") as log:
            self._processes[name] = await asyncio.create_subprocess_exec(str(self.binaries / name), *flags, stdout=log, stderr=log)

    async def _ready(self) -> bool:
        if any(process.returncode is not None for process in self._processes.values()):
            logs = "\n".join(f"{log.name}: {log.read_text(errors='replace')[-1000:]}" for log in self.folder.glob("*.log"))
            raise RuntimeError(f"the control plane did not start: {logs}")
        if not self.ca.exists():
            return False
        async with self.client() as client:
            with contextlib.suppress(ConnectionError):
                return (await client.raw("GET", "/readyz"))[0] == 200
        return False

    def _write_keys(self) -> None:
        (self.folder / "tokens.csv").write_text(f'{self.token},admin,admin,"system:masters"\n')
        # Not P-256 as elsewhere: kube-apiserver's service-account signer is given the form that kubeadm makes.
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        form, plain = serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        (self.folder / "sa.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))
        front = pki.prepare(self.folder / "front-proxy", ["localhost"])
        certificate, client_key = certificates.client_certificate(front, FRONT_PROXY, [])
        (front.folder / "client.crt").write_bytes(certificate)
        (front.folder / "client.key").write_bytes(client_key)

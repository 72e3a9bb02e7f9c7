"""The embedded API for tests: in the test's own event loop, or as a process that can be killed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysail.apiserver.process import running
from raysail.apiserver.settings import ApiSettings
from raysail.kube.connection import Connection, unix_socket
from raysail.kube.credentials import StaticHeaders
from raysail.kube.http import HttpClient

ADMIN_TOKEN = "embedded-admin-token"


@dataclass(slots=True)
class EmbeddedApi:
    """A running API. `client` speaks over the Unix socket as an administrator; `url`, `token` and `ca` are for everybody else."""

    folder: Path
    socket: Path
    url: str
    token: str
    ca: Path
    client: HttpClient

    def kubeconfig(self, path: Path | None = None, namespace: str = "default") -> Path:
        """Writes a kubeconfig for kubectl; gives its path."""
        from raysail.apiserver.access.kubeconfig import write_kubeconfig

        path = path or self.folder / "kubeconfig"
        write_kubeconfig(path, self.url, self.ca, self.token, namespace=namespace)
        return path

    def connection(self) -> Connection:
        """How to reach it over TLS with the token."""
        return Connection(self.url, ca_pem=self.ca.read_text(), credentials=StaticHeaders({"Authorization": f"Bearer {self.token}"}))


@contextlib.contextmanager
def short_folder(folder: Path | None):  # type: ignore[no-untyped-def]
    """The folder, or a temporary one whose path is short enough for a socket."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        return
    made = Path(tempfile.mkdtemp(prefix="rsail-"))
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def settings(folder: Path, **options: Any) -> ApiSettings:
    """Settings of an API in that folder."""
    # As KubeRay comes: without its webhooks.
    options = {"port": 0, "admission": frozenset({"queue"}), **options}
    return ApiSettings(data=folder / "data", socket=folder / "api.sock", pki=folder / "pki", admin_tokens=(ADMIN_TOKEN,), **options)


@contextlib.asynccontextmanager
async def embedded_api(folder: Path | None = None, **options: Any) -> AsyncIterator[EmbeddedApi]:
    """An API in this event loop. `options` go to ApiSettings; `port=None` leaves TCP (and TLS) out."""
    with short_folder(folder) as home:
        chosen = settings(home, **options)
        async with running(chosen) as addresses, HttpClient(unix_socket(home / "api.sock")) as client:
            url = next((address for address in addresses if not address.startswith("unix:")), "")
            yield EmbeddedApi(home, home / "api.sock", url, ADMIN_TOKEN, home / "pki" / "ca.crt", client)


_PROGRAM = """
import json, sys
from pathlib import Path
from raysail.api.kueue.admission import AdmissionSettings
from raysail.apiserver.process import main
from tests.support.embedded import settings
options = json.loads(sys.argv[2])
queue = AdmissionSettings.from_configuration(options.pop("queue"))
sets = {name: frozenset(options.pop(name)) for name in ("admission", "disabled_admission")}
main(settings(Path(sys.argv[1]), queue_admission=queue, **sets, **options))
"""


class ApiProcess:
    """An API as its own process: `start`, `kill` (SIGKILL), `stop` (SIGTERM), in any order. State stays in the folder."""

    def __init__(
        self,
        folder: Path,
        *,
        crds: bool = True,
        admission: str = "queue",
        disabled_admission: tuple[str, ...] = (),
        queue_configuration: Mapping[str, Any] | None = None,
    ) -> None:
        """`admission` names the rules on top of Kubernetes' own: `ray`, `queue`, with a comma between them; `queue_configuration` is a
        Configuration of Kueue."""
        self.folder = folder
        self.socket = folder / "api.sock"
        self.token = ADMIN_TOKEN
        self.ca = folder / "pki" / "ca.crt"
        self.url = ""
        self._options = {
            "install_crds": crds,
            "admission": list(filter(None, admission.split(","))),
            "disabled_admission": disabled_admission,
            "queue": queue_configuration or {},
        }
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Returns once it listens."""
        root = Path(__file__).parents[2]
        environment = {**os.environ, "PYTHONPATH": str(root)}
        log = (self.folder / "api.log").open("ab")
        try:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                _PROGRAM,
                str(self.folder),
                json.dumps(self._options),
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=environment,
            )
        finally:
            log.close()
        assert self._process.stdout is not None
        line = (await self._process.stdout.readline()).decode()
        if "ready" not in line:
            raise RuntimeError(f"the API did not start: {(self.folder / 'api.log').read_text()[-2000:]}")
        self.url = line.rsplit(", ", 1)[-1].strip()

    @property
    def pid(self) -> int:
        """The process' id."""
        assert self._process is not None
        return self._process.pid

    async def kill(self) -> None:
        """SIGKILL."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """SIGTERM, waits until it has ended."""
        await self._end(signal.SIGTERM)

    async def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)
            await self._process.wait()
            self._process = None

    def kubeconfig(self, path: Path | None = None) -> Path:
        """Writes a kubeconfig for the TCP address; gives its path."""
        from raysail.apiserver.access.kubeconfig import write_kubeconfig

        path = path or self.folder / "kubeconfig"
        write_kubeconfig(path, self.url, self.ca, self.token)
        return path

    def client(self) -> HttpClient:
        """A client over the Unix socket."""
        return HttpClient(unix_socket(self.socket))


@contextlib.asynccontextmanager
async def api_process(folder: Path | None = None, *, crds: bool = True, admission: str = "queue") -> AsyncIterator[ApiProcess]:
    """A started API process; ended with the context."""
    with short_folder(folder) as home:
        process = ApiProcess(home, crds=crds, admission=admission)
        await process.start()
        try:
            yield process
        finally:
            await process.stop()

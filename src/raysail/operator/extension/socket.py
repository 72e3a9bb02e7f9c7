"""Extension APIs for the embedded API: on a Unix socket that only the instance's own processes can reach."""

from __future__ import annotations

import contextlib
from pathlib import Path

from aiohttp import web

from raysail.operator.extension.handler import ExtensionHandler

_SHUTDOWN_SECONDS = 1.0


class SocketServer:
    """Listens while it is open."""

    def __init__(self, runner: web.AppRunner, path: Path) -> None:
        self._runner = runner
        self._path = path

    @classmethod
    async def open(cls, handler: ExtensionHandler, path: Path) -> SocketServer:
        """Listens; a socket that an earlier process left is replaced. Raises OSError."""
        application = web.Application()
        application.add_routes(handler.routes())
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
        await runner.setup()
        made = cls(runner, path)
        made.remove()
        await web.UnixSite(runner, str(path)).start()
        made.close_to_others()
        return made

    def remove(self) -> None:
        """The socket's file goes."""
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()

    def close_to_others(self) -> None:
        """Only this user may connect."""
        self._path.chmod(0o600)

    async def close(self) -> None:
        """Stops listening."""
        await self._runner.cleanup()
        self.remove()

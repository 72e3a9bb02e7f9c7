"""API groups that another process of the instance answers for: APIServices whose annotation names a Unix socket.

Asked only where the API itself has nothing at a path, after the request was authenticated and authorised as any other. What Kubernetes does through a
Service and TLS goes through the file system here: whoever may write the socket's folder is the instance itself.
"""

from __future__ import annotations

import logging
from typing import Final

from raysail.api.errors import StatusError
from raysail.apiserver.rest.answer import Answer, error_answer
from raysail.apiserver.rest.call import Scope
from raysail.apiserver.store import Store

log = logging.getLogger(__name__)

COLLECTION: Final = "apiservices.apiregistration.k8s.io"
SOCKET_ANNOTATION: Final = "raysail.io/extension-socket"
_TIMEOUT_SECONDS: Final = 10.0
_PASSED_ON: Final = frozenset({"accept"})


class Aggregation:
    """Passes GET requests on."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def answer(self, scope: Scope) -> Answer | None:
        """The other process' answer; None where nobody else answers for the path."""
        socket = self._socket_for(scope["path"])
        if not socket:
            return None
        if scope["method"] not in ("GET", "HEAD"):
            return error_answer(StatusError("MethodNotAllowed", "the server does not allow this method on the requested resource"))
        import aiohttp  # what is asked this way is rare; an API that nobody asks so need not carry it
        from yarl import URL

        path, query = scope["path"], scope["query_string"].decode("latin-1")
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"] if key.decode("latin-1") in _PASSED_ON}
        url = URL.build(scheme="http", host="extension", path=path, query_string=query)
        timeout = aiohttp.ClientTimeout(total=_TIMEOUT_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(connector=aiohttp.UnixConnector(socket), timeout=timeout) as session,
                session.get(url, headers=headers) as found,
            ):
                return Answer(found.status, await found.read(), found.headers.get("Content-Type", "application/json").encode("latin-1"))
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            log.warning("%s: who answers for it cannot be reached at %s: %s", path, socket, error)
            return error_answer(StatusError("ServiceUnavailable", f"the server is currently unable to handle the request: {error}"))

    def _socket_for(self, path: str) -> str:
        parts = path.split("/", 4)
        if len(parts) < 3 or parts[1] != "apis" or not parts[2]:
            return ""
        group = parts[2]
        names = [f"{parts[3]}.{group}"] if len(parts) > 3 and parts[3] else [f"{version}.{group}" for version in self._versions(group)]
        for name in names:
            record = self._store.get(COLLECTION, name)
            if record is not None:
                socket: str = (record.object()["metadata"].get("annotations") or {}).get(SOCKET_ANNOTATION, "")
                return socket
        return ""

    def _versions(self, group: str) -> list[str]:
        suffix = f".{group}"
        return [record.key.removesuffix(suffix) for record in self._store.snapshot(COLLECTION, "").records if record.key.endswith(suffix)]

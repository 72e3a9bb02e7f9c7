"""`ray start` in a better order, and Ray's workers without Ray imported twice. Both change when things happen, not what.

As it is, a head's raylet is started when its dashboard serves, and only then its agent, which takes jobs; on a laptop that is a second in which nothing
depends on the dashboard. And each worker process that has a runtime environment (the supervisor of each job is one) imports Ray in a program which only
sets variables and then becomes the worker, which imports it again. See `worker_setup`.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

_WORKER_SETUP: Final = Path(__file__).with_name("worker_setup.py")
_DASHBOARD_PORT: Final = 8265


def improve() -> None:
    """Changes how this process starts a node's parts. Ray's other versions, which lack one of the places, are left as they are."""
    node: Any = importlib.import_module("ray._private.node").Node
    if hasattr(node, "start_api_server") and hasattr(node, "start_ray_processes"):
        _start_raylet_beside_dashboard(node)


def _start_raylet_beside_dashboard(node: Any) -> None:
    start_api_server, start_ray_processes = node.start_api_server, node.start_ray_processes
    pending: list[_Beside] = []

    def start_dashboard(self: Any, **options: Any) -> None:
        # Where it will be: workers are told when they start. What the dashboard itself says replaces it.
        if options.get("include_dashboard") is not False:
            self._webui_url = f"{self.node_ip_address}:{self._ray_params.dashboard_port or _DASHBOARD_PORT}"
        pending.append(_Beside(lambda: start_api_server(self, **options)))

    def start_raylet(self: Any) -> None:
        if _takes_quick_setup(self._ray_params):
            self._ray_params.setup_worker_path = str(_WORKER_SETUP)
        try:
            start_ray_processes(self)
        finally:
            for dashboard in pending:
                dashboard.finish()
            pending.clear()

    node.start_api_server, node.start_ray_processes = start_dashboard, start_raylet


def _takes_quick_setup(params: Any) -> bool:
    """Whether workers are set up by Ray's own program, which `worker_setup` knows to find beside the worker's."""
    return str(getattr(params, "setup_worker_path", "")).endswith("/setup_worker.py")


class _Beside(threading.Thread):
    """A call in a thread of its own; `finish` waits for it and raises what it raised.

    The thread never ends: the kernel kills the processes that it has started, which share the fate of their parent, when their parent thread ends.
    """

    def __init__(self, call: Callable[[], None]) -> None:
        super().__init__(name="dashboard", daemon=True)
        self._call = call
        self._error: BaseException | None = None
        self._done = threading.Event()
        self.start()

    def run(self) -> None:
        """In the thread."""
        try:
            self._call()
        except BaseException as error:  # raised again where it is waited for
            self._error = error
        self._done.set()
        threading.Event().wait()

    def finish(self) -> None:
        """Returns when the call has, or raises its error."""
        self._done.wait()
        if self._error is not None:
            raise self._error

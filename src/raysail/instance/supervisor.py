"""Keeps the instance's three processes running: `python -m raysail.instance.supervisor`.

It does nothing else and imports little, so it does not die of what the others die of. A process that ended is started again after a pause that grows
while it keeps ending. The supervisor adopts processes that still run from before it was itself killed; when it is told to stop it stops them in order.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from raysail.instance.home import Home
from raysail.instance.processes import Process, read_pid_file, start_detached, write_pid_file

COMPONENTS: Final = ("apiserver", "operator", "node")
"""In the order of starting; they stop the other way round."""

_STEADY_SECONDS: Final = 10.0
_LONGEST_PAUSE_SECONDS: Final = 5.0
_STOP_SECONDS: Final = {"apiserver": 10.0, "operator": 10.0, "node": 15.0}
_API_FIRST_SECONDS: Final = 5.0
_LOOK_AGAIN_SECONDS: Final = 0.05
_START_APART_SECONDS: Final = 0.3
_LOG_LIMIT_BYTES: Final = 16 << 20

log = logging.getLogger("raysail.supervisor")


@dataclass(slots=True)
class Component:
    """One supervised process. `due` is the monotonic time of the next start while it is not running."""

    name: str
    process: Process | None = None
    descriptor: int = -1
    started: float = 0.0
    due: float = 0.0
    pause_seconds: float = 0.0


@dataclass(slots=True)
class Supervisor:
    """The loop around the components of one instance."""

    home: Home
    components: dict[str, Component] = field(default_factory=lambda: {name: Component(name) for name in COMPONENTS})
    stopping: bool = False

    def run(self) -> None:
        """Until SIGTERM or SIGINT."""
        wake_read, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(wake_write)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        write_pid_file(self.home.run / "supervisor.pid", os.getpid())
        for component in self.components.values():
            self._watch(component, read_pid_file(self._pid_file(component.name)))
        while not self.stopping:
            self._start_due()
            waiting = [c for c in self.components.values() if c.process is None]
            timeout = max(0.0, min(c.due for c in waiting) - time.monotonic()) if waiting else None
            watched = {c.descriptor: c for c in self.components.values() if c.process is not None}
            for descriptor in select.select([wake_read, *watched], [], [], timeout)[0]:
                if descriptor == wake_read:
                    os.read(wake_read, 4096)
                else:
                    self._ended(watched[descriptor])
        for name in reversed(COMPONENTS):
            self._stop_component(self.components[name])
        (self.home.run / "supervisor.pid").unlink(missing_ok=True)

    def _stop(self, *_: object) -> None:
        self.stopping = True

    def _pid_file(self, name: str) -> Path:
        return self.home.run / f"{name}.pid"

    def _start_due(self) -> None:
        for component in self.components.values():
            if component.process is None and component.due <= time.monotonic():
                if component.name != "apiserver" and not self._api_serves():
                    component.due = time.monotonic() + _LOOK_AGAIN_SECONDS
                    continue
                self._watch(component, start_component(self.home, component.name))
                for other in self.components.values():
                    # Not all at once: the API has its first requests to answer, and a start takes a whole processor.
                    if other.process is None:
                        other.due = max(other.due, time.monotonic() + _START_APART_SECONDS)

    def _api_serves(self) -> bool:
        """Whether the others may start: they need the API, and would only take the processor from it while it starts."""
        first = self.components["apiserver"]
        return self.home.api_socket.exists() or (first.process is not None and time.monotonic() - first.started > _API_FIRST_SECONDS)

    def _watch(self, component: Component, process: Process | None) -> None:
        if process is None:
            return
        try:
            component.descriptor = os.pidfd_open(process.pid)
        except ProcessLookupError:
            return  # gone already: it is due at once
        component.process, component.started = process, time.monotonic()

    def _ended(self, component: Component) -> None:
        assert component.process is not None  # noqa: S101 - only watched components end
        os.close(component.descriptor)
        try:
            _, status = os.waitpid(component.process.pid, os.WNOHANG)
            code = os.waitstatus_to_exitcode(status)
        except ChildProcessError:
            code = None  # adopted from an earlier supervisor: its exit code is not ours to read
        lasted = time.monotonic() - component.started
        if code == -signal.SIGKILL or lasted > _STEADY_SECONDS:
            component.pause_seconds = 0.0  # killed from outside, or long at work: not its habit to fail
        else:
            component.pause_seconds = min(_LONGEST_PAUSE_SECONDS, component.pause_seconds * 2 or 0.2)
        component.due = time.monotonic() + component.pause_seconds
        component.process = None
        log.warning(
            "%s ended (exit code %s) after %.0f s; starting it again in %.1f s", component.name, code, lasted, component.pause_seconds
        )

    def _stop_component(self, component: Component) -> None:
        if component.process is not None and not component.process.stop(_STOP_SECONDS[component.name]):
            log.warning("%s did not stop in time and was killed", component.name)
        self._pid_file(component.name).unlink(missing_ok=True)


def start_component(home: Home, name: str) -> Process:
    """Starts one of the processes and notes it, for a supervisor to adopt. `up` starts the API so: it need not wait for the supervisor."""
    log_file = home.logs / f"{name}.log"
    _rotate(log_file)
    command = [sys.executable, "-m", "raysail", name, "--home", str(home.path)]
    child = start_detached(command, log_file, os.environ | {"RAYSAIL_HOME": str(home.path)})
    return write_pid_file(home.run / f"{name}.pid", child.pid)


def _rotate(path: Path) -> None:
    if path.exists() and path.stat().st_size > _LOG_LIMIT_BYTES:
        path.replace(path.with_suffix(".log.1"))


def main() -> None:
    """Entry point; the state directory is the one argument."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    Supervisor(Home(Path(sys.argv[1]))).run()


if __name__ == "__main__":
    main()

"""`ray` on a Pod's PATH: hands over to the warm launcher, or becomes the real `ray` where there is none.

Stays as a small process that passes signals on and ends with the program's exit code. Imports little: it starts in the way of every Ray node.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import socket
import sys
from typing import Any, Final, NoReturn

from raysail.node.warm.protocol import LIMITS, cold_reason, encode, is_warm_program, with_nominal_sizes

_PARENT_SECONDS: Final = 1.0


def main() -> NoReturn:
    """Entry of the `ray` shim."""
    env = dict(os.environ)
    argv = with_nominal_sizes(sys.argv[1:], env)
    path = env.get("RAYSAIL_RAY_LAUNCHER", "")
    if path and not cold_reason(argv, env):
        _hand_over(path, "", argv, env)
    _become_real(argv, env)


def script() -> NoReturn:
    """Entry of `raysail-python`: `[-u] SCRIPT ARGUMENTS` or `-m MODULE ARGUMENTS`, one of Ray's own programs. Ends when its parent does."""
    env = dict(os.environ)
    argv = sys.argv[1:]
    path = env.get("RAYSAIL_RAY_LAUNCHER", "")
    python = env.get("RAYSAIL_PYTHON", sys.executable)
    at = sum(part in ("-u", "-m") for part in argv[:2])
    if path and at < len(argv) and is_warm_program(argv[at]):
        _hand_over(path, argv[at], argv[at + 1 :], env, parent=os.getppid())
    os.execve(python, [python, *argv], env)  # noqa: S606 - as if this had not been in between


def _hand_over(path: str, program: str, argv: list[str], env: dict[str, str], parent: int = 0) -> None:
    """Ends this process with the program's code, or when its `parent` (0: whoever) has ended; returns when no launcher would take it."""
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        link.connect(path)
    except OSError:
        return
    limits = {name: resource.getrlimit(getattr(resource, f"RLIMIT_{name}")) for name in LIMITS}
    umask = os.umask(0o22)
    os.umask(umask)
    message = encode({"script": program, "argv": argv, "env": env, "cwd": os.getcwd(), "umask": umask, "limits": limits})

    def pass_on(number: int, _frame: Any) -> None:
        try:
            link.send(bytes([number]))
        except OSError:
            return  # it is ending already

    begun = False
    try:
        sent = socket.send_fds(link, [message], [0, 1, 2])
        link.sendall(message[sent:])
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, pass_on)
        answer = b""
        while not begun or not answer.endswith(b"}\n"):
            while parent and not select.select([link], [], [], _PARENT_SECONDS)[0]:
                if os.getppid() != parent:
                    os._exit(1)  # the launcher ends the program when this end of the connection closes
            chunk = link.recv(65536)
            if not chunk:
                break
            answer += chunk
            if not begun and b"\n" in answer:
                first, _, answer = answer.partition(b"\n")
                if "cold" in json.loads(first):
                    return
                begun = True
    except OSError:
        answer = b""
    if not answer:
        if begun:
            os._exit(1)  # the program was killed together with the one that waited for it
        return
    result = json.loads(answer.splitlines()[-1])
    code = int(result["exit"])
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code if code >= 0 else 128 - code)


def _become_real(argv: list[str], env: dict[str, str]) -> NoReturn:
    python = env.get("RAYSAIL_PYTHON", sys.executable)
    real = os.path.join(os.path.dirname(python), "ray")
    if not os.path.exists(real):
        sys.stderr.write(f"ray: {real} is not there: install Ray into this environment, for example with `pip install 'raysail[ray]'`\n")
        sys.exit(127)
    os.execve(real, [real, *argv], env)  # noqa: S606 - the real `ray`

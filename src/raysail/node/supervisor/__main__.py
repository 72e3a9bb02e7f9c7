"""Entry: `python -I -S supervisor/__main__.py FOLDER`. Reads FOLDER/sandbox.json, enters the Pod's namespaces and serves.

sandbox.json: `hostname`, `user_namespace`, `mount_namespace`, `pid_namespace` (booleans: what this machine allows), `tmpfs` (list of
`{"path", "size_bytes"}`, mounted for all containers of the Pod). On stdout: one line, `{}` when ready, else `{"error": ...}`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any


def _prepare(settings: dict[str, Any], linux: Any) -> None:
    uid, gid = os.getuid(), os.getgid()
    if settings["user_namespace"]:
        linux.enter_user_namespace(uid, gid)
    if settings["mount_namespace"]:
        linux.unshare(linux.CLONE_NEWNS | linux.CLONE_NEWUTS | linux.CLONE_NEWIPC)
        linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
        linux.set_hostname(settings["hostname"])
        for wanted in settings["tmpfs"]:
            size = f",size={wanted['size_bytes']}" if wanted.get("size_bytes") else ""
            linux.mount("tmpfs", wanted["path"], "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=1777" + size)


def main() -> None:
    """Runs one supervisor until it is told to shut down."""
    sys.path.insert(0, os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", "..")))
    from raysail.node.supervisor import linux
    from raysail.node.supervisor.server import SOCKET, Server

    folder = sys.argv[1]
    with open(os.path.join(folder, "sandbox.json")) as file:
        settings = json.load(file)
    linux.set_process_name("raysail-pod")
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    linux.become_subreaper()
    try:
        _prepare(settings, linux)
        server = Server(folder, settings)
    except OSError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        sys.exit(1)
    print("{}", flush=True)
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
    server.run()
    os.unlink(os.path.join(folder, SOCKET))


if __name__ == "__main__":
    main()

"""What a Pod's `ray` command and the launcher say to each other, over a Unix stream socket.

The command sends one JSON line `{"script", "argv", "env", "cwd", "umask", "limits"}` (script: the path or module of one of Ray's own programs, empty for `ray`) with its stdin, stdout and stderr; then bytes, each the number of a signal
for the program. The launcher answers one JSON line, `{"started": true}` or `{"cold": reason}` when it will not run it; and when the program has ended
another one: `{"exit": code}`, negative for a signal.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

LIMITS: Final = ("NOFILE", "CORE", "NPROC", "MEMLOCK", "STACK")
"""Resource limits that are passed on: what `ulimit` in the Pod's command has set."""

COLD_VARIABLES: Final = ("RAY_USE_TLS", "RAY_ENABLE_K8S_TOKEN_AUTH", "RAYSAIL_NO_WARM_RAY")
"""Settings that Ray reads while it is imported, in ways that cannot be repeated after the fork."""


WARM_COMMANDS: Final = ("start", "stop", "health-check", "kuberay-autoscaler", "job", "status", "drain-node", "get-auth-token", "--version")
"""What is run from the launcher. Others may become drivers, and Ray's C++ generator of random ids would give the same ones after each fork."""


def cold_reason(argv: Sequence[str], env: Mapping[str, str]) -> str:
    """Why this needs a Ray of its own; empty if it does not."""
    if not argv or argv[0] not in WARM_COMMANDS:
        return "this command is not run warm"
    found = [name for name in COLD_VARIABLES if env.get(name, "0") not in ("", "0", "false")]
    return f"{', '.join(found)} is set" if found else ""


WARM_PROGRAMS: Final = (
    "dashboard/agent.py",
    "dashboard/dashboard.py",
    "_private/runtime_env/agent/main.py",
    "_private/log_monitor.py",
    "autoscaler/_private/monitor.py",
    "autoscaler/v2/monitor.py",
)
"""Ray's own Python processes of each node that are run from the launcher too, relative to the package `ray`."""


WARM_MODULES: Final = ("ray.util.client.server",)
"""The same for those that are started with `python -m`."""


def is_warm_program(path: str) -> bool:
    """Whether that script (or module) is one of them."""
    return path in WARM_MODULES or any(path.endswith(f"/ray/{name}") for name in WARM_PROGRAMS)


def with_nominal_sizes(argv: Sequence[str], env: Mapping[str, str]) -> list[str]:
    """`ray start` with what the Pod's sizes imply, where the user has said nothing: a Pod must not take the whole machine for its own."""
    if not argv or argv[0] != "start" or "--help" in argv:
        return list(argv)
    given = {re.split("[= ]", part, maxsplit=1)[0] for part in argv if part.startswith("--")}
    wanted = (
        ("--num-cpus", "RAYSAIL_RAY_CPUS"),
        ("--memory", "RAYSAIL_RAY_MEMORY_BYTES"),
        ("--object-store-memory", "RAYSAIL_RAY_OBJECT_STORE_BYTES"),
        ("--node-ip-address", "RAYSAIL_POD_IP"),
        ("--temp-dir", "RAYSAIL_RAY_TEMP_DIR"),
    )
    return [*argv, *(f"{flag}={env[name]}" for flag, name in wanted if flag not in given and env.get(name))]


def encode(message: Mapping[str, Any]) -> bytes:
    """One line."""
    return json.dumps(message).encode() + b"\n"

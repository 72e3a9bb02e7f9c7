"""What this machine lets us enforce for Pods, found by trying, and what is lost without each.

Used by the agent to choose how it starts Pods, and by `raysail doctor`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from raysail.node.cgroups import Cgroups, find_cgroups
from raysail.node.devices import Gpu, find_gpus

PRELOAD: Final = Path(__file__).parent / "native" / "preload.so"

_TRIAL: Final = """
import os, sys
sys.path.insert(0, {path!r})
from raysail.node.supervisor import linux
if {user}: linux.enter_user_namespace(os.getuid(), os.getgid())
linux.unshare(linux.CLONE_NEWNS | linux.CLONE_NEWUTS | linux.CLONE_NEWIPC)
linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
pid = linux.fork_into_pid_namespace()
if pid == 0:
    try:
        linux.unshare(linux.CLONE_NEWNS)
        from raysail.node.supervisor import rootfs
        rootfs.enter([], new_proc=True)
        os._exit(0 if os.readlink("/proc/self") == "1" else 3)
    except OSError as error:
        os.write(2, str(error).encode())
        os._exit(2)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@dataclass(frozen=True, slots=True)
class Capability:
    """One thing that can be there or not. `lost` says what a Pod goes without where it is not."""

    name: str
    present: bool
    detail: str
    lost: str = ""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """How Pods are confined on this machine."""

    sandbox: bool
    """PID and mount namespaces (and what comes with them: host name, /dev/shm, /tmp of a Pod's own)."""
    user_namespace: bool
    """The sandbox needs a user namespace, since the agent is not root."""
    sandbox_detail: str
    preload: str
    """Path of the preload library; empty where it was not built."""
    cgroups: Cgroups
    gpus: tuple[Gpu, ...]

    def report(self) -> list[Capability]:
        """For `raysail doctor`."""
        return [
            Capability(
                "namespaces",
                self.sandbox,
                self.sandbox_detail,
                "Pods are plain process groups: volumes, /etc/hosts, /tmp and /dev/shm are the machine's own; "
                "names are resolved by the preload library; a Pod's processes are found by a mark in their environment",
            ),
            Capability(
                "preload library",
                bool(self.preload),
                self.preload or "not built: there was no C compiler when raysail was installed",
                "all Pods share the machine's ports: only one Ray head with KubeRay's default ports can run at a time",
            ),
            Capability(
                "cgroup memory limits",
                self.cgroups.memory,
                self.cgroups.detail,
                "limits.memory is not enforced: a Pod that takes too much is not OOMKilled, and Ray's memory monitor is off in Pods",
            ),
            Capability("cgroup cpu weights", self.cgroups.cpu, self.cgroups.detail, "Pods share the CPUs without regard to their requests"),
            Capability(
                "GPUs",
                bool(self.gpus),
                ", ".join(f"{g.index}: {g.name}" for g in self.gpus) or "none found",
                "Pods that ask for nvidia.com/gpu stay pending",
            ),
        ]


@lru_cache(maxsize=1)
def find_capabilities() -> Capabilities:
    """Tries each once; takes about 0.2 s."""
    user = os.geteuid() != 0
    sandbox, detail = _try_sandbox(user=user)
    if not sandbox and not user:
        # Root in a container without CAP_SYS_ADMIN may still be allowed a user namespace.
        sandbox, second = _try_sandbox(user=True)
        user, detail = sandbox, second if sandbox else detail
    return Capabilities(
        sandbox=sandbox,
        user_namespace=sandbox and user,
        sandbox_detail=detail,
        preload=str(PRELOAD) if PRELOAD.exists() else "",
        cgroups=find_cgroups(),
        gpus=find_gpus(),
    )


def _try_sandbox(*, user: bool) -> tuple[bool, str]:
    program = _TRIAL.format(path=str(Path(__file__).parents[2]), user=user)
    try:
        result = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, timeout=20, check=False)
    except subprocess.TimeoutExpired:
        return False, "the trial of namespaces did not end in time"
    if result.returncode == 0:
        return True, "PID, mount, UTS and IPC namespaces" + (" inside a user namespace" if user else "")
    text = result.stderr.decode(errors="replace").strip().splitlines()
    return False, text[-1] if text else f"the trial of namespaces ended with code {result.returncode}"

"""Control groups for containers: memory limits (a real OOM kill), CPU weights. Version 1 and 2, where we may write.

CPU limits become weights only, not ceilings: a machine may present more CPUs than it has, and a ceiling would make every start slow.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_ROOT: Final = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class Cgroups:
    """What can be limited. `version` 0: nothing. `base` holds, for v2, the folder below which ours go."""

    version: int
    memory: bool
    cpu: bool
    detail: str
    base: Path = _ROOT


@dataclass(frozen=True, slots=True)
class Limits:
    """For one container. Zero: no limit. CPU in milli-units of a request."""

    memory_bytes: int
    cpu_milli: int


def find_cgroups() -> Cgroups:
    """Looks at what is mounted and writable; changes nothing but, for v2, the delegation to our own folder."""
    memory, cpu = _ROOT / "memory", _ROOT / "cpu"
    if (memory / "memory.limit_in_bytes").exists():
        can_memory, can_cpu = os.access(memory, os.W_OK), os.access(cpu, os.W_OK)
        detail = "cgroup v1, writable" if can_memory else "cgroup v1, not writable for this user"
        return Cgroups(1, can_memory, can_cpu, detail)
    controllers = _ROOT / "cgroup.controllers"
    if not controllers.exists():
        return Cgroups(0, memory=False, cpu=False, detail="no cgroup file system is mounted")
    base = _delegated()
    if base is None:
        return Cgroups(2, memory=False, cpu=False, detail="cgroup v2, no part of it is delegated to this user")
    try:
        available = (base / "cgroup.controllers").read_text().split()
        wanted = [name for name in ("memory", "cpu") if name in available]
        (base / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in wanted))
    except OSError as error:
        return Cgroups(2, memory=False, cpu=False, detail=f"cgroup v2, controllers cannot be enabled below {base}: {error.strerror}")
    return Cgroups(2, "memory" in wanted, "cpu" in wanted, f"cgroup v2 below {base}", base)


def _delegated() -> Path | None:
    """The v2 folder under which we may make others: the root's for root, else a parent of our own that the user manager has given to us."""
    own = next((line[3:] for line in Path("/proc/self/cgroup").read_text().splitlines() if line.startswith("0::")), "/")
    here = _ROOT / own.lstrip("/")
    for folder in (here.parent, _ROOT) if here != _ROOT else (_ROOT,):
        if os.access(folder, os.W_OK) and os.access(folder / "cgroup.subtree_control", os.W_OK):
            return folder
    return None


def create(cgroups: Cgroups, name: str, limits: Limits) -> tuple[list[str], list[dict[str, Any]]]:
    """Makes the group `name` with its limits. Returns (folders to join, mounts). Raises OSError.

    The mounts show the container its own part where the whole hierarchy would be, so that programs (Ray among them) find their limits where they look.
    """
    if not (cgroups.memory or cgroups.cpu):
        return [], []
    folders: list[str] = []
    mounts: list[dict[str, Any]] = []
    if cgroups.version == 1:
        if cgroups.memory:
            folder = _make(_ROOT / "memory" / name)
            if limits.memory_bytes:
                (folder / "memory.limit_in_bytes").write_text(str(limits.memory_bytes))
            folders.append(str(folder))
            mounts.append({"source": str(folder), "target": str(_ROOT / "memory"), "read_only": True})
        if cgroups.cpu:
            folder = _make(_ROOT / "cpu" / name)
            (folder / "cpu.shares").write_text(str(max(2, limits.cpu_milli * 1024 // 1000)))
            folders.append(str(folder))
            mounts.append({"source": str(folder), "target": str(_ROOT / "cpu"), "read_only": True})
        return folders, mounts
    folder = _make(cgroups.base / name.replace("/", "-"))
    if cgroups.memory and limits.memory_bytes:
        (folder / "memory.max").write_text(str(limits.memory_bytes))
        (folder / "memory.oom.group").write_text("0")
    if cgroups.cpu:
        # The mapping of shares (2..262144) to weights (1..10000) that container runtimes use.
        shares = min(262144, max(2, limits.cpu_milli * 1024 // 1000))
        (folder / "cpu.weight").write_text(str(1 + (shares - 2) * 9999 // 262142))
    return [str(folder)], [{"source": str(folder), "target": str(_ROOT), "read_only": True}]


def remove(cgroups: Cgroups, name: str) -> None:
    """Removes the group, which must have no processes left; one that is busy or absent stays as it is."""
    if cgroups.version == 1:
        paths = [_ROOT / "memory" / name, _ROOT / "cpu" / name]
    else:
        paths = [cgroups.base / name.replace("/", "-")]
    for path in paths:
        with contextlib.suppress(OSError):  # never made, or the kernel still counts a dying process; `remove_tree` comes by again
            path.rmdir()


def remove_tree(cgroups: Cgroups, name: str) -> None:
    """Removes a Pod's group with all below it."""
    if cgroups.version == 1:
        roots = [_ROOT / "memory" / name, _ROOT / "cpu" / name]
    else:
        roots = list(cgroups.base.glob(name.replace("/", "-") + "*"))
    for root in roots:
        for folder, _, _ in os.walk(root, topdown=False):
            with contextlib.suppress(OSError):  # a dying process is still counted; an empty group costs nothing
                Path(folder).rmdir()


def _make(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder

"""The file system of one container: the machine's own, with volumes mounted where the Pod wants them.

Mount points usually do not exist on the machine (`/var/run/secrets/...`, `/home/ray/samples`), and must not be created there. So the root is a fresh
tmpfs in which the machine's top-level entries are bound; a folder that lacks a mount point is replaced in the same way by a tmpfs with its entries
bound ("mirrored"). What a container writes into such a tmpfs is its own and gone with it, like an image's writable layer.

Call `enter` in a mount namespace of one's own.
"""

from __future__ import annotations

import os
import stat
from typing import Any, Final

from . import linux

OLD: Final = "/.machine"
_BASE: Final = "/tmp"  # noqa: S108 - any folder that exists everywhere; covered in our mount namespace only
_SKIPPED: Final = ("proc", "dev", OLD.strip("/"))
_DEVICES: Final = ("null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "fuse", "dri", "infiniband", "kfd", "mqueue")
_DEVICE_LINKS: Final = (("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"), ("stderr", "/proc/self/fd/2"))


def enter(mounts: list[dict[str, Any]], *, new_proc: bool) -> None:
    """Makes the new root this process's root.

    Each mount: `target` (absolute), `source` (a path of the machine; empty for a tmpfs), `read_only`, `size_bytes` (of a tmpfs, 0 = no limit).
    Mounts nest: outer ones come first whatever the order given. `new_proc`: this process is in a PID namespace of its own. Raises OSError.
    """
    linux.mount("none", "/", flags=linux.MS_REC | linux.MS_PRIVATE)
    linux.mount("root", _BASE, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, "mode=755")
    os.mkdir(_BASE + OLD, 0o700)
    linux.pivot_root(_BASE, _BASE + OLD)
    os.chdir("/")
    own = {"/", "/dev"}  # folders on a tmpfs of ours, where mount points can be made freely
    for name in os.listdir(OLD):
        if name not in _SKIPPED:
            _bind_entry(f"{OLD}/{name}", f"/{name}")
    os.mkdir("/proc", 0o555)
    if new_proc:
        linux.mount("proc", "/proc", "proc", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)
    else:
        linux.bind(f"{OLD}/proc", "/proc")
    _make_devices()
    for wanted in sorted(mounts, key=lambda m: str(m["target"]).count("/")):
        source = wanted.get("source") or ""
        outside = OLD + _real(source) if source else ""
        target = _real(str(wanted["target"]))
        _make_mount_point(target, folder=not source or os.path.isdir(outside), own=own)
        if source:
            linux.bind(outside, target, read_only=bool(wanted.get("read_only")))
        else:
            size = int(wanted.get("size_bytes") or 0)
            linux.mount("tmpfs", target, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, f"mode=1777,size={size}" if size else "mode=1777")
        # What was ours below this point is covered now.
        own -= {path for path in own if path == target or path.startswith(target + "/")}
        if not source:
            own.add(target)
    linux.unmount(OLD)
    os.rmdir(OLD)


def _make_devices() -> None:
    """A small /dev like a container's: the usual ones, GPUs, and room for mount points such as /dev/termination-log."""
    os.mkdir("/dev", 0o755)
    linux.mount("dev", "/dev", "tmpfs", linux.MS_NOSUID, "mode=755")
    for name in os.listdir(f"{OLD}/dev"):
        if name in _DEVICES or name.startswith("nvidia"):
            _bind_entry(f"{OLD}/dev/{name}", f"/dev/{name}")
    for name, where in _DEVICE_LINKS:
        os.symlink(where, f"/dev/{name}")
    os.mkdir("/dev/shm", 0o1777)  # noqa: S108 - a mount point


def _real(path: str) -> str:
    """The path without symbolic links, as the machine has them; links are the same inside and outside."""
    return os.path.realpath(path)


def _bind_entry(source: str, target: str) -> None:
    """One entry of a folder at its place in the new one."""
    mode = os.lstat(source).st_mode
    if stat.S_ISLNK(mode):
        os.symlink(os.readlink(source), target)
        return
    if stat.S_ISDIR(mode):
        os.mkdir(target, 0o755)
    else:
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    linux.bind(source, target)


def _make_mount_point(target: str, *, folder: bool, own: set[str]) -> None:
    """Sees to it that `target` exists inside, without creating it on the machine unless it lies in a volume."""
    if os.path.lexists(target):
        return
    parent = os.path.dirname(target)
    _make_folder(parent, own)
    if folder:
        os.mkdir(target, 0o755)
        own.add(target)
    else:
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))


def _make_folder(path: str, own: set[str]) -> None:
    """`path` exists afterwards and takes new entries."""
    if os.path.isdir(path):
        if path not in own and _is_machine(path):
            _mirror(path)
            own.add(path)
        return
    _make_folder(os.path.dirname(path), own)
    os.mkdir(path, 0o755)
    own.add(path)


def _is_machine(path: str) -> bool:
    """Whether the folder is the machine's own (and not inside a volume): there the same folder lies under OLD."""
    outside = OLD + path
    return os.path.isdir(outside) and os.path.samestat(os.stat(outside), os.stat(path))


def _mirror(path: str) -> None:
    """Replaces the folder by a tmpfs that holds the same entries."""
    status = os.stat(path)
    staging = "/.mirror"
    os.mkdir(staging, 0o700)
    linux.mount("mirror", staging, "tmpfs", linux.MS_NOSUID | linux.MS_NODEV, f"mode={status.st_mode & 0o7777:o}")
    for name in os.listdir(path):
        _bind_entry(f"{path}/{name}", f"{staging}/{name}")
    linux.mount(staging, path, flags=linux.MS_MOVE)
    os.rmdir(staging)

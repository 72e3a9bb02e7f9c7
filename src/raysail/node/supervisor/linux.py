"""The system calls for sandboxes that Python's `os` does not have (`os.unshare` and `os.setns` came with 3.12), by ctypes."""

from __future__ import annotations

import ctypes
import os
from typing import Final

CLONE_NEWNS: Final = 0x00020000
CLONE_NEWUTS: Final = 0x04000000
CLONE_NEWIPC: Final = 0x08000000
CLONE_NEWUSER: Final = 0x10000000
CLONE_NEWPID: Final = 0x20000000

MS_RDONLY: Final = 1
MS_NOSUID: Final = 2
MS_NODEV: Final = 4
MS_NOEXEC: Final = 8
MS_REMOUNT: Final = 32
MS_BIND: Final = 4096
MS_MOVE: Final = 8192
MS_REC: Final = 16384
MS_PRIVATE: Final = 1 << 18
MS_SLAVE: Final = 1 << 19
MNT_DETACH: Final = 2

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NAME: Final = 15
_PR_SET_CHILD_SUBREAPER: Final = 36
_SYS_PIVOT_ROOT: Final = {"x86_64": 155, "aarch64": 41}

_SYS_CLONE: Final = {"x86_64": 56, "aarch64": 220}
_SIGCHLD: Final = 17

_libc: Final = ctypes.CDLL(None, use_errno=True)
_libc_with_lock: Final = ctypes.PyDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def unshare(flags: int) -> None:
    """Moves this process (for CLONE_NEWPID its later children) into new namespaces. Raises OSError."""
    _check(_libc.unshare(ctypes.c_int(flags)), "unshare")


def setns(fd: int, flags: int) -> None:
    """Joins the namespaces behind a namespace file or a pidfd. Raises OSError."""
    _check(_libc.setns(ctypes.c_int(fd), ctypes.c_int(flags)), "setns")


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """The system call of that name; its error names the target. Raises OSError."""
    result = _libc.mount(
        os.fsencode(source), os.fsencode(target), os.fsencode(kind) or None, ctypes.c_ulong(flags), os.fsencode(data) or None
    )
    _check(result, f"mount {source} on {target}")


def unmount(target: str) -> None:
    """Detaches a mount and all below it. Raises OSError."""
    _check(_libc.umount2(os.fsencode(target), ctypes.c_int(MNT_DETACH)), f"unmount {target}")


def bind(source: str, target: str, *, read_only: bool = False) -> None:
    """Shows `source` and the mounts below it at `target`. Raises OSError."""
    mount(source, target, flags=MS_BIND | MS_REC)
    if read_only:
        # A bind takes the flags of its source; what a user namespace may not clear (nosuid, nodev, noexec) has to be repeated.
        status = os.statvfs(target).f_flag
        kept = sum(flag for flag, mask in ((MS_NOSUID, os.ST_NOSUID), (MS_NODEV, os.ST_NODEV), (MS_NOEXEC, os.ST_NOEXEC)) if status & mask)
        mount("none", target, flags=MS_BIND | MS_REMOUNT | MS_RDONLY | kept)


def pivot_root(new_root: str, put_old: str) -> None:
    """Makes `new_root` the root directory and the old one visible at `put_old`. Raises OSError."""
    number = _SYS_PIVOT_ROOT.get(os.uname().machine)
    if number is None:
        raise OSError(f"no pivot_root number known for {os.uname().machine}")
    _check(_libc.syscall(ctypes.c_long(number), os.fsencode(new_root), os.fsencode(put_old)), "pivot_root")


def set_hostname(name: str) -> None:
    """Of this UTS namespace. Raises OSError."""
    text = os.fsencode(name)
    _check(_libc.sethostname(text, ctypes.c_size_t(len(text))), "sethostname")


def fork_into_pid_namespace() -> int:
    """Like `os.fork`, but the child is process 1 of a new PID namespace. Raises OSError.

    unshare(CLONE_NEWPID) would serve one child only: to come back for the next one takes rights over our own namespace that an ordinary user lacks.
    """
    number = _SYS_CLONE.get(os.uname().machine)
    if number is None:
        raise OSError(f"no clone number known for {os.uname().machine}")
    ctypes.pythonapi.PyOS_BeforeFork()
    pid: int = _libc_with_lock.syscall(ctypes.c_long(number), ctypes.c_ulong(CLONE_NEWPID | _SIGCHLD), None, None, None, None)
    if pid == 0:
        ctypes.pythonapi.PyOS_AfterFork_Child()
        return 0
    error = ctypes.get_errno()
    ctypes.pythonapi.PyOS_AfterFork_Parent()
    if pid < 0:
        raise OSError(error, f"clone: {os.strerror(error)}")
    return pid


def die_with_parent() -> None:
    """The kernel kills this process when its parent (the thread that forked it) ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0)


def become_subreaper() -> None:
    """Orphaned descendants become children of this process."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def set_process_name(name: str) -> None:
    """What `ps -e` shows, at most 15 bytes."""
    _libc.prctl(_PR_SET_NAME, os.fsencode(name), 0, 0, 0)


def enter_user_namespace(uid: int, gid: int) -> None:
    """Unshares the user namespace, keeping the same uid and gid inside it: programs see who they are, and lose all capabilities at exec.

    Raises OSError where the kernel or an LSM forbids it.
    """
    unshare(CLONE_NEWUSER)
    for file, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{file}", "w") as mapping:
            mapping.write(text)

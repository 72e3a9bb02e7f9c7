"""A container's log on disk in the form of the CRI (`TIME stream F text`), rotated by size.

The file is reached through its folder's descriptor, so that it can be written after the root directory has changed.
"""

from __future__ import annotations

import os
import time
from typing import Final

_LONGEST_LINE: Final = 16 * 1024
"""Longer lines are cut into partial ones (tag P), as container runtimes do."""


class LogFile:
    """`NAME` in the folder; older parts are `NAME.YYYYmmdd-HHMMSS-n`, at most `keep` files in all."""

    def __init__(self, folder_fd: int, name: str, max_bytes: int, keep: int) -> None:
        self._folder = folder_fd
        self._name = name
        self._max_bytes = max_bytes
        self._keep = max(1, keep)
        self._begun: dict[str, bytes] = {}
        self._second = -1
        self._second_text = ""
        self._fd = self._open()
        self._size = os.fstat(self._fd).st_size

    def write(self, stream: str, data: bytes) -> None:
        """Takes what came out of `stream` (stdout or stderr), in pieces of any size."""
        stamp = self._stamp()
        *whole, rest = (self._begun.pop(stream, b"") + data).split(b"\n")
        lines = []
        for line in whole:
            lines += self._cut(line)
        texts = [b"%s %s %s %s\n" % (stamp, stream.encode(), tag, text) for tag, text in lines]
        while len(rest) >= _LONGEST_LINE:
            texts.append(b"%s %s P %s\n" % (stamp, stream.encode(), rest[:_LONGEST_LINE]))
            rest = rest[_LONGEST_LINE:]
        if rest:
            self._begun[stream] = rest
        self._append(b"".join(texts))

    def close(self, stream: str) -> None:
        """The stream has ended: a last line without its newline is written too."""
        rest = self._begun.pop(stream, b"")
        if rest:
            self._append(b"%s %s F %s\n" % (self._stamp(), stream.encode(), rest))

    @staticmethod
    def _cut(line: bytes) -> list[tuple[bytes, bytes]]:
        parts = [line[at : at + _LONGEST_LINE] for at in range(0, len(line), _LONGEST_LINE)] or [b""]
        return [(b"P", part) for part in parts[:-1]] + [(b"F", parts[-1])]

    def _append(self, data: bytes) -> None:
        if not data:
            return
        if self._size and self._size + len(data) > self._max_bytes:
            self._rotate()
        self._size += len(data)
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError:
            # A full disk must not stop the container; the line is lost and the next one tries again.
            return

    def _rotate(self) -> None:
        os.close(self._fd)
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime()) + f"-{time.time_ns() % 1_000_000_000:09d}"
        os.rename(self._name, f"{self._name}.{stamp}", src_dir_fd=self._folder, dst_dir_fd=self._folder)
        old = sorted(name for name in os.listdir(self._folder) if name.startswith(self._name + "."))
        for name in old[: max(0, len(old) - self._keep + 1)]:
            os.unlink(name, dir_fd=self._folder)
        self._fd = self._open()
        self._size = 0

    def _open(self) -> int:
        return os.open(self._name, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640, dir_fd=self._folder)

    def _stamp(self) -> bytes:
        now = time.time_ns()
        second, nano = divmod(now, 1_000_000_000)
        if second != self._second:
            self._second = second
            self._second_text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        return f"{self._second_text}.{nano:09d}Z".encode()

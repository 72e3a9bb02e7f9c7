"""Reading a container's log back from disk, as the kubelet does (pkg/kubelet/kuberuntime/logs): tail, since, limit, timestamps, follow."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

_POLL_SECONDS: Final = 0.05
_BLOCK: Final = 1 << 16


class LogOptionsError(ValueError):
    """A log option cannot be read; the text says which."""


@dataclass(frozen=True, slots=True)
class LogOptions:
    """What of a log is wanted. `since` is RFC 3339 text with a fixed number of digits, comparable with the log's own; `stream` empty for both."""

    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    tail_lines: int | None = None
    limit_bytes: int | None = None
    since: str = ""
    stream: str = ""


def parse_options(query: Mapping[str, str], now: datetime) -> LogOptions:
    """From the query of a request. Raises LogOptionsError."""

    def number(name: str) -> int | None:
        text = query.get(name)
        if text in (None, ""):
            return None
        try:
            value = int(text or "")
        except ValueError as error:
            raise LogOptionsError(f"invalid {name} {text!r}: not a number") from error
        if value < 0:
            raise LogOptionsError(f"{name}: Invalid value: {value}: must be greater than or equal to 0")
        return value

    seconds, since = number("sinceSeconds"), query.get("sinceTime", "")
    moment = now - timedelta(seconds=seconds) if seconds is not None else None
    if since:
        try:
            moment = datetime.fromisoformat(since)
        except ValueError as error:
            raise LogOptionsError(f"invalid sinceTime {since!r}: not an RFC 3339 time") from error
    text = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z" if moment else ""
    stream = query.get("stream", "").lower()
    return LogOptions(
        follow=_flag(query, "follow"),
        previous=_flag(query, "previous"),
        timestamps=_flag(query, "timestamps"),
        tail_lines=number("tailLines"),
        limit_bytes=number("limitBytes"),
        since=text,
        stream="" if stream in ("", "all") else stream,
    )


@dataclass(frozen=True, slots=True)
class Line:
    """One entry: time (text), stream, whether it ends a line, content."""

    time: bytes
    stream: bytes
    full: bool
    text: bytes

    def shown(self, timestamps: bool) -> bytes:
        """As a client sees it."""
        head = self.time + b" " if timestamps else b""
        return head + self.text + (b"\n" if self.full else b"")


def parse_line(raw: bytes) -> Line | None:
    """An entry from a line of the file; None for one that is damaged."""
    parts = raw.rstrip(b"\n").split(b" ", 3)
    if len(parts) < 3 or parts[1] not in (b"stdout", b"stderr"):
        return None
    return Line(parts[0], parts[1], parts[2].startswith(b"F"), parts[3] if len(parts) > 3 else b"")


async def read_log(folder: Path, number: int, options: LogOptions, live: Callable[[], bool]) -> AsyncGenerator[Line]:
    """The wanted entries of attempt `number`; with `follow`, further ones until `live` says that the container has ended. `limit_bytes` is the caller's."""
    name = f"{number}.log"
    lines, position = await asyncio.to_thread(_present, folder, name, options)
    for line in lines:
        yield line
    if options.follow:
        async for line in _follow(folder / name, position, live):
            if _wanted(line, options):
                yield line


def from_now(folder: Path, number: int, live: Callable[[], bool]) -> AsyncGenerator[Line]:
    """What is written after this call, until the container has ended."""
    path = folder / f"{number}.log"
    try:
        status = path.stat()
    except FileNotFoundError:
        return _follow(path, (0, 0), live)
    return _follow(path, (status.st_ino, status.st_size), live)


def _present(folder: Path, name: str, options: LogOptions) -> tuple[list[Line], tuple[int, int]]:
    """The entries that are there, and (inode, offset) up to which they were read."""
    newest = folder / name
    files = [*sorted(folder.glob(f"{name}.*")), newest]
    position = (0, 0)
    kept: list[Line] = []
    for path in reversed(files):
        try:
            with path.open("rb") as file:
                data = file.read()
                if path == newest:
                    data = data[: data.rfind(b"\n") + 1]
                    position = (os.fstat(file.fileno()).st_ino, len(data))
        except FileNotFoundError:
            continue
        found = [line for raw in data.splitlines() if (line := parse_line(raw)) is not None and _wanted(line, options)]
        kept = found + kept
        if options.tail_lines is not None and sum(line.full for line in kept) > options.tail_lines:
            break
    return _tail(kept, options.tail_lines), position


def _tail(lines: list[Line], count: int | None) -> list[Line]:
    if count is None:
        return lines
    if count == 0:
        return []
    seen = 0
    for at in range(len(lines) - 1, -1, -1):
        if lines[at].full:
            seen += 1
            if seen > count:
                return lines[at + 1 :]
    return lines


async def _follow(path: Path, position: tuple[int, int], live: Callable[[], bool]) -> AsyncGenerator[Line]:
    inode, offset = position
    begun = b""
    while True:
        # Asked before reading: what was written before the end is read afterwards.
        running = live()
        present = _inode(path)
        if inode and present and present != inode:
            chunk = _rotated(path, inode, offset)
            offset = 0
        else:
            chunk = _read_from(path, offset)
            offset += len(chunk)
        rotated, inode = bool(inode and present and present != inode), present or inode
        data = begun + chunk
        for line in _split(data):
            yield line
        begun = data.rpartition(b"\n")[2]
        if not chunk and not rotated:
            if not running:
                return
            await asyncio.sleep(_POLL_SECONDS)


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0


def _split(data: bytes) -> Iterator[Line]:
    for raw in data[: data.rfind(b"\n") + 1].splitlines():
        line = parse_line(raw)
        if line is not None:
            yield line


def _read_from(path: Path, offset: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(_BLOCK)
    except FileNotFoundError:
        return b""


def _rotated(path: Path, inode: int, offset: int) -> bytes:
    """What was written to the file that had our inode after we last read it."""
    for old in path.parent.glob(f"{path.name}.*"):
        if old.stat().st_ino == inode:
            return old.read_bytes()[offset:]
    return b""


def _wanted(line: Line, options: LogOptions) -> bool:
    if options.stream and line.stream.decode() != options.stream:
        return False
    return not options.since or line.time.decode(errors="replace") >= options.since


def _flag(query: Mapping[str, str], name: str) -> bool:
    return query.get(name, "").lower() in ("true", "1")

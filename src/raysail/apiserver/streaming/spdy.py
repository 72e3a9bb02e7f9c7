"""SPDY/3.1 frames, as far as port-forward speaks them. Sans-I/O: bytes in, events out; calls in, bytes out.

kubectl tunnels a SPDY connection through a WebSocket (KEP-4006, `SPDY/3.1+portforward.k8s.io`). Kubernetes' SPDY library (moby/spdystream) keeps no
flow-control windows, so none are kept here. Frame layout: SPDY Protocol Draft 3.1, section 2.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

_VERSION: Final = 3
_SYN_STREAM, _SYN_REPLY, _RST_STREAM, _PING, _GOAWAY = 1, 2, 3, 6, 7
_FIN: Final = 0x01
_CANCEL: Final = 5
_STREAM_MASK: Final = 0x7FFFFFFF
_MAXIMUM_FRAME_BYTES: Final = 1 << 24

# Section 2.6.10.1: words with their lengths before them, then fragments of common values.
_COMMON: Final = """
options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow authorization
cache-control connection content-base content-encoding content-language content-length content-location content-md5 content-range
content-type date etag expect expires from host if-match if-modified-since if-none-match if-range if-unmodified-since
last-modified location max-forwards pragma proxy-authenticate proxy-authorization range referer retry-after server te trailer
transfer-encoding upgrade user-agent vary via warning www-authenticate method get status
"""
_WORDS: Final = (*_COMMON.split(), "200 OK", "version", "HTTP/1.1", "url", "public", "set-cookie", "keep-alive", "origin")
_FRAGMENTS: Final = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 Non-Authoritative Information204 No Content"
    "301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented"
    "503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=gzip,deflate,"
    "sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
DICTIONARY: Final = b"".join(struct.pack(">I", len(word)) + word.encode() for word in _WORDS) + _FRAGMENTS.encode()


class SpdyError(ValueError):
    """What came is not SPDY/3."""


@dataclass(frozen=True, slots=True)
class StreamOpened:
    """The other side opened a stream. Header names are lower case."""

    stream: int
    headers: Mapping[str, str]
    finished: bool


@dataclass(frozen=True, slots=True)
class DataReceived:
    """Bytes on a stream; `finished` when no more will come."""

    stream: int
    data: bytes
    finished: bool


@dataclass(frozen=True, slots=True)
class StreamReset:
    """The other side gave the stream up."""

    stream: int


@dataclass(frozen=True, slots=True)
class PingReceived:
    """Must be answered with the same number (`Connection.ping`)."""

    number: int


@dataclass(frozen=True, slots=True)
class GoneAway:
    """The other side opens no more streams."""


Event = StreamOpened | DataReceived | StreamReset | PingReceived | GoneAway


class Connection:
    """The server's side of one SPDY connection."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._inflate = zlib.decompressobj(zdict=DICTIONARY)
        self._deflate = zlib.compressobj(zdict=DICTIONARY)

    def receive(self, data: bytes) -> Iterator[Event]:
        """The events in what came; an incomplete frame waits for its rest. Raises SpdyError."""
        self._buffer += data
        while len(self._buffer) >= 8:
            first, second = struct.unpack_from(">II", self._buffer)
            flags, length = second >> 24, second & 0xFFFFFF
            if len(self._buffer) < 8 + length:
                return
            payload = bytes(self._buffer[8 : 8 + length])
            del self._buffer[: 8 + length]
            if not first & 0x80000000:
                yield DataReceived(first & _STREAM_MASK, payload, bool(flags & _FIN))
            elif (first >> 16) & 0x7FFF != _VERSION:
                raise SpdyError(f"not a SPDY/3 frame (version {(first >> 16) & 0x7FFF})")
            elif (event := self._control(first & 0xFFFF, flags, payload)) is not None:
                yield event

    def reply(self, stream: int) -> bytes:
        """Accepts a stream that was opened."""
        return _control_frame(_SYN_REPLY, 0, struct.pack(">I", stream) + self._headers({}))

    def data(self, stream: int, data: bytes, *, finished: bool = False) -> bytes:
        """Bytes for a stream; with `finished` the last ones."""
        return struct.pack(">II", stream & _STREAM_MASK, (_FIN if finished else 0) << 24 | len(data)) + data

    def reset(self, stream: int) -> bytes:
        """Gives a stream up."""
        return _control_frame(_RST_STREAM, 0, struct.pack(">II", stream, _CANCEL))

    def ping(self, number: int) -> bytes:
        """Answers a ping."""
        return _control_frame(_PING, 0, struct.pack(">I", number))

    def _control(self, kind: int, flags: int, payload: bytes) -> Event | None:
        if kind == _SYN_STREAM:
            stream = struct.unpack_from(">I", payload)[0] & _STREAM_MASK
            return StreamOpened(stream, self._read_headers(payload[10:]), bool(flags & _FIN))
        if kind == _RST_STREAM:
            return StreamReset(struct.unpack_from(">I", payload)[0] & _STREAM_MASK)
        if kind == _PING:
            return PingReceived(struct.unpack_from(">I", payload)[0])
        return GoneAway() if kind == _GOAWAY else None

    def _read_headers(self, block: bytes) -> dict[str, str]:
        try:
            text = self._inflate.decompress(block, _MAXIMUM_FRAME_BYTES)
            (count,) = struct.unpack_from(">I", text)
            at, headers = 4, dict[str, str]()
            for _ in range(count):
                parts = []
                for _ in range(2):
                    (length,) = struct.unpack_from(">I", text, at)
                    parts.append(text[at + 4 : at + 4 + length].decode())
                    at += 4 + length
                headers[parts[0].lower()] = parts[1].partition("\0")[0]
        except (zlib.error, struct.error, UnicodeDecodeError) as error:
            raise SpdyError(f"unreadable header block: {error}") from error
        return headers

    def _headers(self, headers: Mapping[str, str]) -> bytes:
        text = struct.pack(">I", len(headers))
        for pair in headers.items():
            for part in pair:
                text += struct.pack(">I", len(part)) + part.encode()
        return self._deflate.compress(text) + self._deflate.flush(zlib.Z_SYNC_FLUSH)


def _control_frame(kind: int, flags: int, payload: bytes) -> bytes:
    return struct.pack(">HHI", 0x8000 | _VERSION, kind, flags << 24 | len(payload)) + payload

"""What goes back over the wire."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import orjson

from raysail.api.errors import StatusError

JSON: Final = b"application/json"
TEXT: Final = b"text/plain; charset=utf-8"
NO_CACHE: Final = (b"cache-control", b"no-cache, private")


@dataclass(slots=True)
class Answer:
    """A complete response. `warnings` become `Warning: 299 - "text"` headers."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    warnings: Iterable[str] = ()

    def header_list(self) -> list[tuple[bytes, bytes]]:
        """All headers, lower case, in ASGI's form."""
        found = [NO_CACHE, (b"content-type", self.content_type), (b"content-length", str(len(self.body)).encode()), *self.headers]
        found += [(b"warning", warning(text)) for text in self.warnings]
        return found


def warning(text: str) -> bytes:
    """The value of a Warning header (k8s.io/apimachinery pkg/util/net NewWarningHeader)."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'299 - "{escaped}"'.encode("utf-8", "replace")


def encode(obj: Any) -> bytes:
    """JSON text."""
    return orjson.dumps(obj)


def json_answer(obj: Any, status: int = HTTPStatus.OK, content_type: bytes = JSON, warnings: Iterable[str] = ()) -> Answer:
    """An object as JSON."""
    return Answer(status, orjson.dumps(obj), content_type, warnings=warnings)


def text_answer(text: str, status: int = HTTPStatus.OK) -> Answer:
    """Plain text."""
    return Answer(status, text.encode(), TEXT, [(b"x-content-type-options", b"nosniff")])


def error_answer(error: StatusError, warnings: Iterable[str] = ()) -> Answer:
    """A Status for a refusal."""
    answer = json_answer(error.to_status(), error.code, warnings=warnings)
    seconds = error.details.get("retryAfterSeconds")
    if seconds:
        answer.headers.append((b"retry-after", str(seconds).encode()))
    return answer


def as_yaml(answer: Answer) -> Answer:
    """The same answer, its JSON body written as YAML."""
    import yaml  # with the first who wants it

    text = yaml.safe_dump(orjson.loads(answer.body), default_flow_style=False, allow_unicode=True)
    return Answer(answer.status, text.encode(), b"application/yaml", answer.headers, answer.warnings)

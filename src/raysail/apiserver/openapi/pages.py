"""`/openapi/v3` and `/openapi/v2`: built when first asked for, kept until what is served changes.

The v3 index names every group version with a hash; clients keep a document as long as its hash stays the same. So a hash must be cheap: it is taken of what the
document is made from. Source: k8s.io/kube-openapi pkg/handler3, pkg/handler.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol

import orjson

from raysail.api.openapi import KUBERNETES_VERSION
from raysail.apiserver.openapi.operations import resource_paths
from raysail.apiserver.openapi.schemas import component_schemas
from raysail.apiserver.openapi.swagger import swagger
from raysail.apiserver.openapi.swagger_protobuf import encode_swagger
from raysail.apiserver.rest.answer import Answer
from raysail.apiserver.strategy import Definition

SWAGGER_PROTOBUF: Final = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
_ASKED_AS: Final = (SWAGGER_PROTOBUF, "application/com.github.proto-openapi.spec.v2@v1.0+protobuf")
"""How clients ask for it; the second is no valid media type, so it never comes back as one."""
_FORMAT: Final = 1
"""Goes into every hash; raise it when documents of the same kinds come out differently."""


class Served(Protocol):
    """What the registry says: all definitions, and a number that grows with every change."""

    generation: int

    def definitions(self) -> Iterator[Definition]:
        """Everything that is served."""
        ...


class Document:
    """A ready document with its hash."""

    __slots__ = ("body", "content_type", "tag")

    def __init__(self, body: bytes, content_type: str, tag: str) -> None:
        self.body = body
        self.content_type = content_type
        self.tag = tag


class OpenApiDocuments:
    """All OpenAPI documents of what is served now. Safe to use from several threads."""

    def __init__(self, served: Served) -> None:
        self._served = served
        self._lock = threading.Lock()
        self._generation = -1
        self._groups: dict[str, list[Definition]] = {}
        self._tags: dict[str, str] = {}
        self._prints: dict[int, tuple[Definition, bytes]] = {}
        self._documents: dict[str, Document] = {}

    def index(self) -> bytes:
        """`/openapi/v3`: a path and hash for each group version."""
        with self._lock:
            self._refresh()
            paths = {name: {"serverRelativeURL": f"/openapi/v3/{name}?hash={tag}"} for name, tag in self._tags.items()}
        return orjson.dumps({"paths": paths})

    def group_version(self, name: str) -> Document | None:
        """The v3 document of `api/v1` or `apis/GROUP/VERSION`."""
        with self._lock:
            self._refresh()
            tag = self._tags.get(name)
        if tag is None:
            return None
        return self._kept(name, tag, lambda: (self._build(self._groups[name]), "application/json"))

    def whole(self, *, protobuf: bool) -> Document:
        """The v2 document."""
        with self._lock:
            self._refresh()
            tag = _digest("".join(self._tags.values()).encode())
            everything = [definition for group in self._groups.values() for definition in group]
        if protobuf:
            return self._kept("v2+protobuf", tag, lambda: (encode_swagger(swagger(everything)), SWAGGER_PROTOBUF))
        return self._kept("v2", tag, lambda: (orjson.dumps(swagger(everything)), "application/json"))

    def _kept(self, name: str, tag: str, build: Callable[[], tuple[bytes, str]]) -> Document:
        with self._lock:
            document = self._documents.get(name)
            if document is None or document.tag != tag:
                document = self._documents[name] = Document(*build(), tag)
            return document

    def _refresh(self) -> None:
        """Sorts what is served into group versions, and takes their hashes anew, if anything changed."""
        if self._generation == self._served.generation:
            return
        self._generation = self._served.generation
        groups: dict[str, list[Definition]] = {}
        for definition in self._served.definitions():
            resource = definition.resource
            name = f"apis/{resource.group}/{resource.version}" if resource.group else f"api/{resource.version}"
            groups.setdefault(name, []).append(definition)
        self._groups = {name: sorted(groups[name], key=lambda d: d.resource.plural) for name in sorted(groups)}
        known = self._prints
        self._prints = {}
        for definition in (d for group in self._groups.values() for d in group):
            kept = known.get(id(definition))
            self._prints[id(definition)] = kept if kept is not None and kept[0] is definition else (definition, _fingerprint(definition))
        self._tags = {name: _digest(b"".join(self._prints[id(d)][1] for d in group)) for name, group in self._groups.items()}
        self._documents = {name: document for name, document in self._documents.items() if name.startswith("v2") or name in self._tags}

    @staticmethod
    def _build(definitions: list[Definition]) -> bytes:
        paths = {path: item for definition in definitions for path, item in resource_paths(definition)}
        document = {
            "openapi": "3.0.0",
            "info": {"title": "Kubernetes", "version": KUBERNETES_VERSION},
            "paths": dict(sorted(paths.items())),
            "components": {"schemas": component_schemas(definitions)},
        }
        return orjson.dumps(document)


def _fingerprint(definition: Definition) -> bytes:
    """What a document says of a kind, in short. Built-in schemas change only with the Kubernetes version."""
    resource = definition.resource
    plain: list[Any] = [
        _FORMAT,
        KUBERNETES_VERSION,
        [resource.group, resource.version, resource.kind, resource.plural, resource.namespaced],
        definition.verbs,
        definition.subresources,
        definition.selectable_fields,
        definition.list_kind,
    ]
    if definition.custom:
        plain.append(definition.strategy.schema.schema)
    return hashlib.sha256(orjson.dumps(plain)).digest()


def _digest(data: bytes) -> str:
    return hashlib.sha512(data).hexdigest().upper()


class OpenApiPages:
    """Answers for paths under /openapi/. Documents are built in a thread: the large ones take a while."""

    def __init__(self, served: Served) -> None:
        self.documents = OpenApiDocuments(served)

    async def __call__(self, path: str, query: Mapping[str, str], accept: str) -> Answer | None:
        """The document, a redirect to its present hash, or None where there is nothing."""
        if path == "/openapi/v3":
            return Answer(200, await asyncio.to_thread(self.documents.index), b"text/plain; charset=utf-8")
        if path == "/openapi/v2":
            protobuf = accepts_protobuf(accept)
            return _answer(await asyncio.to_thread(lambda: self.documents.whole(protobuf=protobuf)))
        name = path.removeprefix("/openapi/v3/")
        document = await asyncio.to_thread(self.documents.group_version, name)
        if document is None:
            return None
        wanted = query.get("hash")
        if wanted and wanted != document.tag:
            return Answer(301, b"", b"text/plain; charset=utf-8", [(b"location", f"{path}?hash={document.tag}".encode())])
        return _answer(document)


def _answer(document: Document) -> Answer:
    return Answer(200, document.body, document.content_type.encode(), [(b"etag", f'"{document.tag}"'.encode()), (b"vary", b"Accept")])


def accepts_protobuf(accept: str) -> bool:
    """Whether the protobuf form of v2 is asked for before JSON."""
    for part in accept.split(","):
        kind = part.split(";")[0].strip()
        if kind in _ASKED_AS:
            return True
        if kind in ("application/json", "*/*", "application/*"):
            return False
    return False

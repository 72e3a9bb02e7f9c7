"""The ASGI application: from a connection's request to the code that answers it, and the one place where refusals become answers."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from functools import partial
from typing import Any, Final, Protocol

from raysail.api.errors import StatusError, bad_request
from raysail.api.selectors import SelectorError, parse_fields
from raysail.apiserver.access.authorization import Attributes
from raysail.apiserver.access.users import User
from raysail.apiserver.rest import deleting, patching, reading, writing
from raysail.apiserver.rest.accept import negotiate
from raysail.apiserver.rest.answer import Answer, as_yaml, error_answer, text_answer
from raysail.apiserver.rest.call import PUSH, Call, Receive, Scope, Send, Shared
from raysail.apiserver.rest.target import Target, parse_query, parse_target, verb_of
from raysail.apiserver.watch import Streams, serve_watch

log = logging.getLogger(__name__)

Handler = Callable[[Call], Awaitable[Answer]]
Connector = Callable[[Call, Scope, Receive, Send], Awaitable[None]]
"""Takes over the connection itself: logs that follow, exec, attach, port-forward, proxies."""

_BODY_VERBS: Final = frozenset({"create", "update", "patch", "delete", "deletecollection"})
_READ_SUBRESOURCES: Final = frozenset({"status", "resize", "ephemeralcontainers", "approval"})
_ACROSS_NAMESPACES: Final = frozenset({"list", "watch", "deletecollection"})
NOT_ALLOWED_TEXT: Final = "the server does not allow this method on the requested resource"
NOT_FOUND_TEXT: Final = "404 page not found\n"


class Gate(Protocol):
    """Who asks, and may they. Implemented by `apiserver.access`."""

    def identify(self, scope: Scope) -> User:
        """The user of a connection's request. Raises StatusError (401)."""
        ...

    def authorize(self, user: User, attributes: Attributes, scope: Scope) -> User:
        """The user to act as: who asks, or whom they impersonate. Raises StatusError (403)."""
        ...

    def require(self, user: User, attributes: Attributes) -> None:
        """Raises StatusError (403) when the user may not."""
        ...


class Page(Protocol):
    """What answers paths that name no resource: discovery, health, version, OpenAPI."""

    async def __call__(self, method: str, path: str, query: Mapping[str, str], accept: str) -> Answer | None:
        """The answer, or None when there is no such path."""
        ...


class Application:
    """Routes requests. `subresources` and `connectors` are keyed by (plural, subresource), `creators` by (group, plural) of kinds that are only spoken."""

    def __init__(self, shared: Shared, gate: Gate, page: Page) -> None:
        self.shared = shared
        self.gate = gate
        self.page = page
        self.streams = Streams()
        self.subresources: dict[tuple[str, str], Handler] = {}
        self.connectors: dict[tuple[str, str], Connector] = {}
        self.creators: dict[tuple[str, str], Handler] = {}
        self.elsewhere: Callable[[Scope], Awaitable[Answer | None]] | None = None
        """Asked where there is nothing here: groups that another process answers for."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request of any kind, over ASGI."""
        kind = scope["type"]
        if kind == "http":
            answer = await self.respond(scope, receive, send)
            if answer is not None:
                await send({"type": "http.response.start", "status": answer.status, "headers": answer.header_list()})
                await send({"type": "http.response.body", "body": answer.body})
        elif kind == "websocket":
            await self._websocket(scope, receive, send)

    def at_once(self, scope: Scope) -> Answer | None:
        """The answer to a GET of one object as it is, which nothing has to be awaited for; None where `respond` must be asked."""
        if scope["query_string"]:
            return None
        target = parse_target("GET", scope["path"])
        if target is None or target.is_collection or target.subresource:
            return None
        warnings: list[str] = []
        try:
            found = self._call(scope, target, "get", {}, self.gate.identify(scope), warnings)
            if isinstance(found, Answer):
                return found
            return reading.get_now(found) if self._handler(found) is reading.get else None
        except StatusError as error:
            return error_answer(error, warnings)
        except Exception:
            return _failed(scope)

    async def respond(self, scope: Scope, receive: Receive, send: Send) -> Answer | None:
        """The answer to an HTTP request, or None where it went out through `send` (a watch, a stream)."""
        warnings: list[str] = []
        answer: Answer | None
        try:
            method, path = scope["method"], scope["path"]
            target = parse_target(method, path)
            user = self.gate.identify(scope)
            if target is None:
                answer = await self._other(scope, user)
            else:
                query = parse_query(scope["query_string"])
                found = self._call(scope, target, verb_of(target, query), query, user, warnings)
                answer = found if isinstance(found, Answer) else await self._resource(found, scope, receive, send)
            if answer is not None and answer.status == 404 and self.elsewhere is not None:
                answer = await self.elsewhere(scope) or answer
        except StatusError as error:
            if error.code == 409:
                # The other write may still be on its way to disk: whoever reads now, to try again on what is there, must see it.
                await self.shared.store.land()
            answer = error_answer(error, warnings)
        except Exception:
            answer = _failed(scope)
        if answer is not None and scope["method"] == "HEAD":
            answer.body = b""
        return answer

    def _call(self, scope: Scope, target: Target, verb: str, query: Mapping[str, str], user: User, warnings: list[str]) -> Call | Answer:
        """The request as something to work on, its user authorised, or the answer that there is no such resource. Raises StatusError."""
        namespace = target.namespace
        name = target.name or _only_name(query)
        attributes = Attributes(verb or target.method.lower(), target.group, target.plural, target.subresource, namespace, name)
        user = self.gate.authorize(user, attributes, scope)
        definition = self.shared.registry.find(target.group, target.version, target.plural)
        if definition is None:
            return self._no_resource(target)
        resource = definition.resource
        if not resource.namespaced and target.namespace and not (target.plural == "namespaces" and target.name == target.namespace):
            return self._no_resource(target)
        if resource.namespaced and not namespace and verb not in _ACROSS_NAMESPACES:
            if definition.custom:
                return text_answer(NOT_FOUND_TEXT, 404)
            raise StatusError("MethodNotAllowed", NOT_ALLOWED_TEXT, empty_details=True)
        headers = scope["headers"]
        call = Call(self.shared, target, verb, definition, query, headers, user, warnings=warnings)
        if definition.deprecation_warning:
            call.warnings.append(definition.deprecation_warning)
        accept = call.header(b"accept")
        if accept and accept not in ("*/*", "application/json"):
            call.form = negotiate(accept)
        if verb == "patch":
            creation = Attributes("create", target.group, target.plural, "", namespace, target.name)
            call.authorize_create = partial(self.gate.require, user, creation)
        return call

    async def _resource(self, call: Call, scope: Scope, receive: Receive, send: Send) -> Answer | None:
        """The answer, or None where the connection was answered on the way (a watch, a stream)."""
        target, verb = call.target, call.verb
        if target.subresource and not call.definition.custom:
            connector = self.connectors.get((target.plural, target.subresource))
            if connector is not None:
                started = _Started(send)
                try:
                    await connector(call, scope, receive, started)
                except StatusError as error:
                    if not started.yes:
                        raise
                    log.warning("%s ended: %s", scope["path"], error)
                return None
        if verb in _BODY_VERBS:
            call.body = await read_body(receive, self.shared.limits.body_bytes)
        if verb == "watch":
            await serve_watch(call, receive, send, self.streams, scope.get(PUSH))
            return None
        return await self._handler(call)(call)

    def _handler(self, call: Call) -> Handler:
        target, definition, verb = call.target, call.definition, call.verb
        name = target.subresource
        if name:
            if name not in definition.subresources:
                if definition.custom:
                    raise reading.absent(call)
                raise page_missing()
            handler = self.subresources.get((target.plural, name)) or self.subresources.get(("*", name))
            if handler is not None:
                return handler
            if name in _READ_SUBRESOURCES and verb in ("get", "update", "patch"):
                return _VERBS[verb]
            raise method_not_allowed(call)
        if target.name and verb == "create" and not definition.custom:
            raise method_not_allowed(call)
        if not target.name and verb in ("update", "patch"):
            raise bad_request("name must be provided") if definition.custom else method_not_allowed(call)
        creator = self.creators.get((target.group, target.plural))
        if creator is not None and verb == "create":
            return creator
        if verb not in definition.verbs:
            raise method_not_allowed(call)
        return _VERBS[verb]

    def _no_resource(self, target: Target) -> Answer:
        """404: a Status below Kubernetes' own groups, plain text elsewhere, as its two servers behind one address answer."""
        own = any(not d.custom for d in self.shared.registry.definitions() if d.resource.group == target.group)
        return error_answer(page_missing()) if own else text_answer(NOT_FOUND_TEXT, 404)

    async def _other(self, scope: Scope, user: User) -> Answer:
        method, path = scope["method"], scope["path"]
        self.gate.authorize(user, Attributes(_PLAIN_VERBS.get(method, method.lower()), path=path), scope)
        accept = next((value.decode("latin-1") for key, value in scope["headers"] if key == b"accept"), "")
        answer = await self.page(method, path, parse_query(scope["query_string"]), accept)
        if answer is None:
            return text_answer(NOT_FOUND_TEXT, 404)
        if accept == "application/yaml" and answer.content_type == b"application/json":
            return as_yaml(answer)
        return _unless_known(answer, scope)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """exec, attach and port-forward; refusals are told before the handshake."""
        started = _Started(send)
        try:
            user = self.gate.identify(scope)
            target = parse_target("GET", scope["path"])
            definition = self.shared.registry.find(target.group, target.version, target.plural) if target else None
            connector = self.connectors.get((target.plural, target.subresource)) if target else None
            if target is None or definition is None or connector is None or definition.custom:
                raise page_missing()
            attributes = Attributes("get", target.group, target.plural, target.subresource, target.namespace, target.name)
            user = self.gate.authorize(user, attributes, scope)
            call = Call(self.shared, target, "get", definition, parse_query(scope["query_string"]), scope["headers"], user)
            await connector(call, scope, receive, started)
        except StatusError as error:
            if started.yes:
                log.warning("%s ended: %s", scope["path"], error)
                return
            answer = error_answer(error)
            await receive()
            if "websocket.http.response" in scope.get("extensions", {}):
                await send({"type": "websocket.http.response.start", "status": answer.status, "headers": answer.header_list()})
                await send({"type": "websocket.http.response.body", "body": answer.body})
            else:
                await send({"type": "websocket.close", "code": 1008, "reason": error.message[:120]})


def _failed(scope: Scope) -> Answer:
    """500, in the handler of an exception that nobody expected."""
    log.exception("%s %s", scope["method"], scope["path"])
    return error_answer(StatusError("InternalError", "Internal error occurred: the server's log says more"))


class _Started:
    """Passes messages on, and knows whether any was sent: after that a refusal can no longer be told."""

    __slots__ = ("_send", "yes")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.yes = False

    async def __call__(self, message: MutableMapping[str, Any]) -> None:
        self.yes = True
        await self._send(message)


_VERBS: Final[dict[str, Handler]] = {
    "get": reading.get,
    "list": reading.list_objects,
    "create": writing.create,
    "update": writing.update,
    "patch": patching.patch,
    "delete": deleting.delete,
    "deletecollection": deleting.delete_collection,
}
_PLAIN_VERBS: Final = {"GET": "get", "HEAD": "head", "POST": "post", "PUT": "put", "PATCH": "patch", "DELETE": "delete"}


def _only_name(query: Mapping[str, str]) -> str:
    """The one object that a list or watch can show, where its field selector says so: such a request is authorised by name."""
    selector = query.get("fieldSelector", "")
    if not selector:
        return ""
    try:
        terms = parse_fields(selector)
    except SelectorError:
        return ""
    return next((term.value for term in terms if term.path == "metadata.name" and term.equal), "")


async def read_body(receive: Receive, limit: int) -> bytes:
    """The whole body. Raises StatusError (413) when it is longer than the limit."""
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body"):
        if len(body) > limit:
            raise _too_large(limit)
        return body
    parts = [body]
    size = len(body)
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise StatusError("BadRequest", "the client left before it had sent its request")
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
    return b"".join(parts)


def _too_large(limit: int) -> StatusError:
    return StatusError("RequestEntityTooLarge", f"Request entity too large: limit is {limit}", 413)


def page_missing() -> StatusError:
    """404 of a path that does not exist (NewGenericServerResponse)."""
    return StatusError("NotFound", "the server could not find the requested resource", empty_details=True)


def method_not_allowed(call: Call) -> StatusError:
    """405; custom kinds name the verb."""
    if call.definition.custom:
        resource, verb = call.definition.resource, call.verb or call.target.method.lower()
        text = f'{verb} is not supported on resources of kind "{call.definition.group_resource}"'
        return StatusError("MethodNotAllowed", text, details={"group": resource.group, "kind": resource.plural})
    return StatusError("MethodNotAllowed", NOT_ALLOWED_TEXT, empty_details=True)


def _unless_known(answer: Answer, scope: Scope) -> Answer:
    """304 where the client says that it has just this document (If-None-Match)."""
    known = next((value for key, value in scope["headers"] if key == b"if-none-match"), None)
    tag = next((value for key, value in answer.headers if key == b"etag"), None)
    return Answer(304, b"", answer.content_type, answer.headers) if known and known == tag else answer

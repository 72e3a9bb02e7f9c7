"""log, exec, attach and port-forward: which Pod, which node; `apiserver.streaming` does the rest."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from raysail.api.errors import StatusError
from raysail.apiserver.rest.answer import TEXT
from raysail.apiserver.rest.call import Call, Receive, Scope, Send
from raysail.apiserver.rest.reading import absent
from raysail.apiserver.streaming.log import stream_log
from raysail.apiserver.streaming.target import container_target, port_forward_target
from raysail.apiserver.streaming.websocket import bridge_channels, bridge_port_forward

JsonObject = dict[str, Any]


def _pod(call: Call) -> tuple[JsonObject, JsonObject | None]:
    """The Pod and the Node it is on."""
    record = call.store.get("pods", call.key)
    if record is None:
        raise absent(call)
    pod = record.object()
    node = call.store.get("nodes", pod["spec"].get("nodeName", "")) if pod["spec"].get("nodeName") else None
    return pod, node.object() if node else None


async def log(call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    """GET pods/NAME/log."""
    pod, node = _pod(call)
    if not pod["spec"].get("nodeName"):
        # Nothing has run yet: an empty log.
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", TEXT)]})
        await send({"type": "http.response.body", "body": b""})
        return
    target = container_target("containerLogs", pod, node, call.query.get("container", ""))
    await stream_log(target, call.query, receive, send)


def _upgraded(scope: Scope) -> None:
    if scope["type"] != "websocket":
        raise StatusError("BadRequest", "Upgrade request required: this server speaks WebSockets here (kubectl 1.31 and later do)")


async def exec_(call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    """pods/NAME/exec."""
    await _channels("exec", call, scope, receive, send)


async def attach(call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    """pods/NAME/attach."""
    await _channels("attach", call, scope, receive, send)


async def _channels(what: str, call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    pod, node = _pod(call)
    target = container_target(what, pod, node, call.query.get("container", ""))
    _upgraded(scope)
    # `command` is repeated, and its order counts.
    query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    await bridge_channels(target, query, scope, receive, send)


async def port_forward(call: Call, scope: Scope, receive: Receive, send: Send) -> None:
    """pods/NAME/portforward."""
    pod, node = _pod(call)
    target = port_forward_target(pod, node)
    _upgraded(scope)
    await bridge_port_forward(target, scope, receive, send)

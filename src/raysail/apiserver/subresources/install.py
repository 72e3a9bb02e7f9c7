"""Puts the handlers in their places."""

from __future__ import annotations

from importlib import import_module

from raysail.apiserver.gate import StoreGate
from raysail.apiserver.rest.app import Application, Connector
from raysail.apiserver.rest.call import Call, Receive, Scope, Send
from raysail.apiserver.subresources import binding, eviction, finalize, reviews, scale


def install(application: Application, gate: StoreGate) -> None:
    """Makes the application answer all subresources and virtual kinds."""
    handlers = application.subresources
    handlers["*", "scale"] = scale.serve
    handlers["pods", "binding"] = binding.bind
    handlers["pods", "eviction"] = eviction.evict
    handlers["namespaces", "finalize"] = finalize.finalize
    virtual = reviews.Reviews(gate)
    handlers["serviceaccounts", "token"] = virtual.token
    application.creators["", "bindings"] = binding.bind_by_body
    for plural in ("selfsubjectreviews", "tokenreviews"):
        application.creators["authentication.k8s.io", plural] = virtual.review
    for plural in ("selfsubjectaccessreviews", "subjectaccessreviews", "localsubjectaccessreviews", "selfsubjectrulesreviews"):
        application.creators["authorization.k8s.io", plural] = virtual.review
    connectors = application.connectors
    for subresource, function in (("log", "log"), ("exec", "exec_"), ("attach", "attach"), ("portforward", "port_forward")):
        connectors["pods", subresource] = _later("streams", function)
    connectors["pods", "proxy"] = _later("proxy", "pods")
    connectors["services", "proxy"] = _later("proxy", "services")


def _later(module: str, function: str) -> Connector:
    """A connector whose module is loaded when first asked for: an HTTP client costs 7 MB that an idle instance need not spend."""

    async def connect(call: Call, scope: Scope, receive: Receive, send: Send) -> None:
        connector: Connector = getattr(import_module(f"raysail.apiserver.subresources.{module}"), function)
        await connector(call, scope, receive, send)

    return connect

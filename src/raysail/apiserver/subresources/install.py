"""Puts the handlers in their places."""

from __future__ import annotations

from raysail.apiserver.gate import StoreGate
from raysail.apiserver.rest.app import Application
from raysail.apiserver.subresources import binding, eviction, finalize, proxy, reviews, scale, streams


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
    connectors["pods", "log"] = streams.log
    connectors["pods", "exec"] = streams.exec_
    connectors["pods", "attach"] = streams.attach
    connectors["pods", "portforward"] = streams.port_forward
    connectors["pods", "proxy"] = proxy.pods
    connectors["services", "proxy"] = proxy.services

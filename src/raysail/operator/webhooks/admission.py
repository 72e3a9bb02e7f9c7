"""admission.k8s.io/v1: an AdmissionReview's request in, its response out. Pure; the rules are `raysail.api.kueue.admission` and `raysail.api.ray.admission`."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import orjson

from raysail.api.errors import StatusError
from raysail.api.kueue import admission as kueue
from raysail.api.kueue.admission import AdmissionSettings, Lookup
from raysail.api.ray import admission as ray
from raysail.api.resources import Resource
from raysail.operator.webhooks.json_patch import difference

Json = Mapping[str, Any]


def mutate_queue(request: Json, lookup: Lookup, settings: AdmissionSettings) -> dict[str, Any]:
    """What Kueue's mutating webhooks fill in, as a JSON patch."""
    before = request.get("object")
    if before is None:
        return _allowed(request)
    after = deepcopy(before)
    try:
        kueue.mutate(
            resource_of(request), after, request.get("oldObject"), request["operation"], lookup, settings, request.get("subResource", "")
        )
    except StatusError as error:
        return _denied(request, error)
    response = _allowed(request)
    if patch := list(difference(before, after)):
        response |= {"patchType": "JSONPatch", "patch": base64.b64encode(orjson.dumps(patch)).decode()}
    return response


def validate_queue(request: Json, lookup: Lookup, settings: AdmissionSettings) -> dict[str, Any]:
    """What Kueue's validating webhooks say."""
    if request.get("object") is None:
        return _allowed(request)
    try:
        verdict = kueue.review(
            resource_of(request),
            request["object"],
            request.get("oldObject"),
            request["operation"],
            lookup,
            settings,
            request.get("subResource", ""),
        )
    except StatusError as error:
        return _denied(request, error)
    refusal = verdict.error()
    response = _denied(request, refusal) if refusal is not None else _allowed(request)
    if verdict.warnings:
        response["warnings"] = list(verdict.warnings)
    return response


def validate_ray(request: Json, lookup: Lookup, settings: AdmissionSettings) -> dict[str, Any]:
    """What KubeRay's validating webhooks say."""
    if request.get("object") is None:
        return _allowed(request)
    refusal = ray.review(resource_of(request), request["object"], request["operation"])
    return _denied(request, refusal) if refusal is not None else _allowed(request)


def resource_of(request: Json) -> Resource:
    """The kind in the version in which the request shows the object."""
    kind, resource = request["kind"], request["resource"]
    return Resource(kind.get("group", ""), kind["version"], kind["kind"], resource["resource"], bool(request.get("namespace")))


def _allowed(request: Json) -> dict[str, Any]:
    return {"uid": request["uid"], "allowed": True}


def _denied(request: Json, error: StatusError) -> dict[str, Any]:
    """The API server puts the webhook's name before the text by itself."""
    status = error.to_status()
    prefix, denied, text = status["message"].partition(" denied the request: ")
    if denied and prefix.startswith("admission webhook "):
        status["message"] = text
    return {"uid": request["uid"], "allowed": False, "status": status}

"""apiextensions.k8s.io/v1 ConversionReview for kueue.x-k8s.io. Pure; the rules are `raysail.api.kueue.conversion`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raysail.api.kueue import conversion
from raysail.api.kueue.names import GROUP

Json = Mapping[str, Any]


def convert(request: Json) -> dict[str, Any]:
    """The response: every object in the version that is asked for, in the same order, or why not."""
    wanted = request.get("desiredAPIVersion", "")
    if wanted not in (conversion.V1BETA1, conversion.V1BETA2):
        return _failed(request, f"{wanted} is not a version of {GROUP} that is served; there are v1beta1 and v1beta2")
    version = wanted.removeprefix(f"{GROUP}/")
    converted = []
    for obj in request.get("objects") or ():
        if obj.get("apiVersion") not in (conversion.V1BETA1, conversion.V1BETA2):
            return _failed(request, f"{obj.get('kind')} in {obj.get('apiVersion')} cannot be converted to {wanted}")
        converted.append(conversion.convert(obj, version))
    return {"uid": request.get("uid", ""), "convertedObjects": converted, "result": {"status": "Success"}}


def _failed(request: Json, message: str) -> dict[str, Any]:
    return {"uid": request.get("uid", ""), "convertedObjects": [], "result": {"status": "Failure", "message": message}}

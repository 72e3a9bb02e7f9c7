"""Content negotiation: which form of an object, in which encoding."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from raysail.api.errors import StatusError

OBJECT: Final = ""
TABLE: Final = "Table"
PARTIAL: Final = "PartialObjectMetadata"
PARTIAL_LIST: Final = "PartialObjectMetadataList"
DISCOVERY: Final = "APIGroupDiscoveryList"
_SERVED: Final = "application/json, application/yaml, application/vnd.kubernetes.protobuf"


@dataclass(frozen=True, slots=True)
class Form:
    """`kind` is one of the constants above; `group` and `version` are of that kind."""

    kind: str = OBJECT
    yaml: bool = False
    group: str = ""
    version: str = ""


PLAIN: Final = Form()


@lru_cache(maxsize=256)
def negotiate(accept: str) -> Form:
    """The first form in the header that is served. Raises StatusError (406) when none is."""
    if not accept:
        return PLAIN
    known = False
    for clause in accept.split(","):
        media, *parameters = [part.strip() for part in clause.split(";")]
        values = dict(part.split("=", 1) for part in parameters if "=" in part)
        if media in ("application/json", "application/*", "*/*", "application/yaml"):
            known = True
            wanted = values.get("as", "")
            version, group = values.get("v", ""), values.get("g", "")
            if wanted in (TABLE, PARTIAL, PARTIAL_LIST) and not (group == "meta.k8s.io" and version in ("v1", "v1beta1")):
                continue
            if wanted == DISCOVERY and not (group == "apidiscovery.k8s.io" and version == "v2"):
                continue
            if wanted not in (OBJECT, TABLE, PARTIAL, PARTIAL_LIST, DISCOVERY):
                continue
            return Form(wanted, media == "application/yaml", group, version)
    if known or "application/vnd.kubernetes.protobuf" in accept:
        raise StatusError("NotAcceptable", f"only the following media types are accepted: {_SERVED}", 406)
    raise StatusError("NotAcceptable", f"406: Not Acceptable\n\nAvailable representations: {_SERVED}", 406, empty_details=True)

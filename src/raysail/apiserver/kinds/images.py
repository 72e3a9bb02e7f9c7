"""Names of container images, as far as defaults depend on them (pkg/util/parsers, distribution/reference)."""

from __future__ import annotations

import re
from typing import Final

_TAG: Final = re.compile(r"[\w][\w.-]{0,127}", re.ASCII)


def image_tag(image: str) -> str:
    """The tag; `latest` where neither tag nor digest is given, empty where only a digest is or the name is none."""
    name, _, digest = image.partition("@")
    path, colon, tag = name.rpartition(":")
    if colon and "/" not in tag:
        return tag if _TAG.fullmatch(tag) and path else ""
    if digest or not name or any(c.isspace() for c in name):
        return ""
    return "latest"

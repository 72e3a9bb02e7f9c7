"""Kinds of jobs that others hold back (`integrations.externalFrameworks`): what stands below one of them follows it.

Source: Kueue pkg/controller/jobframework/integrationmanager.go (RegisterExternalJobType).
"""

from __future__ import annotations

import re
from typing import Final

from raysail.api.resources import Resource

_KIND: Final = re.compile(r"([A-Z][A-Za-z0-9]*)\.(v[a-z0-9]+)\.([a-z0-9.-]+)")


def external_framework(text: str) -> Resource:
    """The kind called `Kind.version.group`; its plural is guessed as Kubernetes does. Raises ValueError."""
    found = _KIND.fullmatch(text)
    if found is None:
        raise ValueError(f'misformatted external framework name "{text}": it has the form Kind.version.group.com')
    kind, version, group = found.groups()
    return Resource(group, version, kind, _plural(kind.lower()))


def _plural(singular: str) -> str:
    """k8s.io/apimachinery UnsafeGuessKindToResource."""
    if singular.endswith("s"):
        return f"{singular}es"
    return f"{singular[:-1]}ies" if singular.endswith("y") else f"{singular}s"

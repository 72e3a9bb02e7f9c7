"""The CustomResourceDefinitions of ray.io and kueue.x-k8s.io, made from the types in `api.ray` and `api.kueue`.

They are made on demand and kept; subtrees (pod templates above all) are shared between them. Treat them as constants.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from raysail.api.crds.definitions import KINDS, KUEUE_KINDS, RAY_KINDS, Kind
from raysail.api.crds.schema import forget_schemas

__all__ = ["KINDS", "KUEUE_KINDS", "RAY_KINDS", "Kind", "all_crds", "crd", "forget_crds"]


@cache
def crd(name: str) -> dict[str, Any]:
    """One definition, by its name such as `rayjobs.ray.io`. Raises KeyError."""
    return _kinds()[name].to_dict()


def all_crds() -> list[dict[str, Any]]:
    """All definitions, ray.io first."""
    return [crd(name) for name in _kinds()]


def forget_crds() -> None:
    """Frees what was kept: a process that has installed them needs them no more."""
    crd.cache_clear()
    forget_schemas()


@cache
def _kinds() -> dict[str, Kind]:
    return {kind.crd_name: kind for kind in KINDS}

"""`key=value:NoSchedule` as a taint or toleration. Pure; the grammar and its faults are kueuectl's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from raysail.api.names import label_key_causes, label_value_faults

EFFECTS: Final = ("NoSchedule", "PreferNoSchedule", "NoExecute")


class TaintSpecError(ValueError):
    """A taint or toleration that cannot be followed; the text says which and why."""


def taints(texts: Iterable[str]) -> list[dict[str, Any]]:
    """KEY[=VALUE]:EFFECT each, with commas between them or repeated. Raises TaintSpecError."""
    found: list[dict[str, Any]] = []
    for spec in _split(texts):
        key, value, effect = _parts(spec, "taint")
        if not key or not effect:
            raise TaintSpecError(f"invalid taint spec: {spec}: expected KEY[=VALUE]:EFFECT")
        if any(taint["key"] == key and taint["effect"] == effect for taint in found):
            raise TaintSpecError(f"duplicated taints with the same key and effect: {spec}")
        found.append({"key": key, **({"value": value} if value else {}), "effect": effect})
    return found


def tolerations(texts: Iterable[str]) -> list[dict[str, Any]]:
    """KEY[=VALUE][:EFFECT] or :EFFECT each. Raises TaintSpecError."""
    found: list[dict[str, Any]] = []
    for spec in _split(texts):
        key, value, effect = _parts(spec, "toleration")
        if value and not key:
            raise TaintSpecError(f"invalid toleration spec: {spec}: a value without a key")
        made: dict[str, Any] = {"key": key} if key else {}
        made["operator"] = "Equal" if key and value else "Exists"
        found.append(made | ({"value": value} if value else {}) | ({"effect": effect} if effect else {}))
    return found


def pairs(texts: Iterable[str], flag: str) -> dict[str, str]:
    """KEY=VALUE each. Raises TaintSpecError."""
    found = {}
    for spec in _split(texts):
        key, equals, value = spec.partition("=")
        if not equals:
            raise TaintSpecError(f"--{flag}: {spec} must be formatted as key=value")
        found[key] = value
    return found


def _split(texts: Iterable[str]) -> list[str]:
    return [part.strip() for text in texts for part in text.split(",") if part.strip()]


def _parts(spec: str, what: str) -> tuple[str, str, str]:
    pair, *effects = spec.split(":")
    key, *values = pair.split("=")
    if len(effects) > 1 or len(values) > 1:
        raise TaintSpecError(f"invalid {what} spec: {spec}")
    value, effect = values[0] if values else "", effects[0] if effects else ""
    if effect and effect not in EFFECTS:
        raise TaintSpecError(f"invalid taint effect: {effect}, unsupported taint effect; there are {', '.join(EFFECTS)}")
    faults = [cause.message for cause in label_key_causes(key, "key")] if key else []
    faults += label_value_faults(value) if value else []
    if faults:
        raise TaintSpecError(f"invalid {what} spec: {spec}, {'; '.join(faults)}")
    return key, value, effect

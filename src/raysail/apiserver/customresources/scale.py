"""The scale subresource of a custom kind: where its replicas and its selector are.

Rules: apiextensions pkg/registry/customresource/{etcd,validator}.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from raysail.api import causes
from raysail.api.errors import Cause
from raysail.api.go_text import plain_text, type_name
from raysail.apiserver.schema.numbers import MAX_INT32

_ABSENT: Final = object()


class AccessorError(ValueError):
    """What stands at the path has not the type that scaling needs."""


def _at(obj: Mapping[str, Any], path: str) -> Any:
    value: Any = obj
    walked: list[str] = []
    for name in path.removeprefix(".").split("."):
        if not isinstance(value, Mapping):
            raise AccessorError(
                f".{'.'.join([*walked, name])} accessor error: {plain_text(value)} is of the type {type_name(value)}, expected map[string]interface{{}}"
            )
        if name not in value:
            return _ABSENT
        value = value[name]
        walked.append(name)
    return value


def nested_integer(obj: Mapping[str, Any], path: str) -> int | None:
    """The int64 at a path, None where nothing is there. Raises AccessorError."""
    value = _at(obj, path)
    if value is _ABSENT:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise AccessorError(f"{_dotted(path)} accessor error: {plain_text(value)} is of the type {type_name(value)}, expected int64")
    return value


def nested_text(obj: Mapping[str, Any], path: str) -> str | None:
    """The text at a path, None where nothing is there. Raises AccessorError."""
    value = _at(obj, path)
    if value is _ABSENT:
        return None
    if not isinstance(value, str):
        raise AccessorError(f"{_dotted(path)} accessor error: {plain_text(value)} is of the type {type_name(value)}, expected string")
    return value


def _dotted(path: str) -> str:
    return "." + path.removeprefix(".")


@dataclass(frozen=True, slots=True)
class ScalePaths:
    """JSON paths such as `.spec.replicas`; `selector` is empty where the kind has none."""

    spec_replicas: str
    status_replicas: str
    selector: str = ""

    def spec_causes(self, obj: Mapping[str, Any]) -> list[Cause]:
        """What is wrong with the wanted number of replicas."""
        return self._replicas_causes(obj, self.spec_replicas)

    def status_causes(self, obj: Mapping[str, Any]) -> list[Cause]:
        """What is wrong with the observed number of replicas and the selector."""
        found = self._replicas_causes(obj, self.status_replicas)
        if self.selector:
            try:
                nested_text(obj, self.selector)
            except AccessorError as error:
                found.append(causes.invalid(self.selector, "", str(error)))
        return found

    @staticmethod
    def _replicas_causes(obj: Mapping[str, Any], path: str) -> list[Cause]:
        try:
            replicas = nested_integer(obj, path) or 0
        except AccessorError as error:
            return [causes.invalid(path, 0, str(error))]
        if replicas < 0:
            return [causes.invalid(path, replicas, "should be a non-negative integer")]
        if replicas > MAX_INT32:
            return [causes.invalid(path, replicas, f"should be less than or equal to {MAX_INT32}")]
        return []

    def read(self, obj: Mapping[str, Any]) -> dict[str, Any]:
        """The object as an autoscaling/v1 Scale. Raises AccessorError; replicas that are not there raise it too, as upstream refuses such a Scale."""
        replicas = nested_integer(obj, self.spec_replicas)
        if replicas is None:
            raise AccessorError(f"the spec replicas field {self.spec_replicas!r} does not exist")
        status: dict[str, Any] = {"replicas": nested_integer(obj, self.status_replicas) or 0}
        selector = nested_text(obj, self.selector) if self.selector else ""
        if selector:
            status["selector"] = selector
        metadata = obj["metadata"]
        kept = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
        spec = {"replicas": replicas} if replicas else {}
        return {
            "kind": "Scale",
            "apiVersion": "autoscaling/v1",
            "metadata": {key: metadata[key] for key in kept if key in metadata},
            "spec": spec,
            "status": status,
        }

    def write(self, obj: dict[str, Any], replicas: int) -> None:
        """Sets the wanted number of replicas in place."""
        *parents, name = self.spec_replicas.removeprefix(".").split(".")
        target = obj
        for parent in parents:
            target = target.setdefault(parent, {})
        target[name] = replicas

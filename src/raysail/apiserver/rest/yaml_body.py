"""YAML bodies."""

from __future__ import annotations

from typing import Any

import orjson
import yaml

from raysail.api.errors import bad_request


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """YAML 1.1 as Kubernetes reads it: what looks like a time stays text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}


def decode_yaml(body: bytes) -> tuple[Any, list[str]]:
    """The value, and the paths of keys that came twice. Raises StatusError (400)."""
    try:
        loader = _Loader(body)
        try:
            node = loader.get_single_node()
            value = loader.construct_document(node) if node is not None else None
        finally:
            loader.dispose()
        found: list[str] = []
        if node is not None:
            _yaml_duplicates(node, "", found)
        # YAML has dates, sets and keys that are no text; JSON does not.
        return orjson.loads(orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS)), found
    except (yaml.YAMLError, orjson.JSONEncodeError) as error:
        raise bad_request(f"the request body is not valid YAML: {error}") from error


def _yaml_duplicates(node: Any, path: str, found: list[str]) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            at = f"{path}.{key.value}" if path else str(key.value)
            if key.value in seen and at not in found:
                found.append(at)
            seen.add(key.value)
            _yaml_duplicates(value, at, found)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            _yaml_duplicates(item, f"{path}[{index}]", found)

"""YAML text inside objects (`runtimeEnvYAML`, `serveConfigV2`), read as KubeRay reads it.

That is YAML 1.1 (`n`, `off` and `yes` are booleans) and, through JSON, text keys only. PyYAML reads the one-letter forms as text, Go does not.
"""

from __future__ import annotations

import re
from typing import Any, Final

import yaml

_ONE_LETTER: Final = {"y": True, "Y": True, "n": False, "N": False}


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with Go's idea of a boolean."""


def _boolean(loader: _Loader, node: yaml.ScalarNode) -> bool:
    value = loader.construct_scalar(node)
    return _ONE_LETTER[value] if value in _ONE_LETTER else bool(yaml.SafeLoader.bool_values[value.lower()])


for _letter in _ONE_LETTER:
    _Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:y|Y|n|N)$"), [_letter])
_Loader.add_constructor("tag:yaml.org,2002:bool", _boolean)


def parse_mapping(text: str) -> dict[str, Any]:
    """The mapping; empty for no text. Raises yaml.YAMLError, or ValueError where the text is not a mapping."""
    document = yaml.load(text, _Loader) if text else {}  # noqa: S506 - a safe loader with other booleans
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ValueError(f"expected a mapping, found {type(document).__name__}")
    cleaned = _with_text_keys(document)
    assert isinstance(cleaned, dict)  # noqa: S101 - for the type checker
    return cleaned


def _with_text_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {_key(key): _with_text_keys(item) for key, item in value.items()}
    return [_with_text_keys(item) for item in value] if isinstance(value, list) else value


def _key(key: Any) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    return str(key)

"""Reading configuration files field by field: every fault names the file, the path of the field, the value and what was expected."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from raysail.operator.settings import SettingsError

_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)", re.ASCII)
_UNIT_SECONDS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


def read_document(path: Path) -> Mapping[str, Any]:
    """The one YAML document in a file. Raises SettingsError."""
    try:
        document = yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe loaders
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise SettingsError(f"{path} is not YAML: {error}") from error
    if not isinstance(document, dict):
        raise SettingsError(f"{path} does not hold a mapping")
    return document


def parse_duration(text: str) -> float:
    """Go's duration text (`1h30m`, `15s`, `0`) in seconds. Raises ValueError."""
    sign = -1.0 if text.startswith("-") else 1.0
    rest = text.lstrip("+-")
    if rest == "0":
        return 0.0
    total, end = 0.0, 0
    for match in _DURATION.finditer(rest):
        if match.start() != end:
            break
        total, end = total + float(match.group(1)) * _UNIT_SECONDS[match.group(2)], match.end()
    if not rest or end != len(rest):
        raise ValueError(f"{text!r} is not a duration such as 1h30m or 15s")
    return sign * total


class Section:
    """A mapping inside of a document, with its path for messages. Absent and null fields give the default."""

    def __init__(self, source: str, content: Mapping[str, Any], path: str = "") -> None:
        self.source = source
        self.content = content
        self.path = path

    def fault(self, field: str, expected: str) -> SettingsError:
        """The error for a field that is not what it should be."""
        return SettingsError(f"{self.source}: {self._at(field)}: {self.content.get(field)!r} is not {expected}")

    def has(self, field: str) -> bool:
        """Whether the field is given and not null."""
        return self.content.get(field) is not None

    def section(self, field: str) -> Section:
        """A mapping under this one; empty where absent."""
        value = self.content.get(field)
        if value is None:
            value = {}
        if not isinstance(value, dict):
            raise self.fault(field, "a mapping")
        return Section(self.source, value, self._at(field))

    def sections(self, field: str) -> list[Section]:
        """A list of mappings."""
        value = self.content.get(field) or []
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.fault(field, "a list of mappings")
        return [Section(self.source, item, f"{self._at(field)}[{at}]") for at, item in enumerate(value)]

    def text(self, field: str, default: str = "", *, among: tuple[str, ...] = ()) -> str:
        """A text, one of `among` where that is given."""
        value = self.content.get(field)
        if value is None:
            return default
        if not isinstance(value, str) or (among and value not in among):
            raise self.fault(field, f"one of {', '.join(among)}" if among else "a text")
        return value

    def texts(self, field: str) -> tuple[str, ...]:
        """A list of texts."""
        value = self.content.get(field) or []
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.fault(field, "a list of texts")
        return tuple(value)

    def flag(self, field: str, default: bool) -> bool:
        """True or false."""
        value = self.content.get(field)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.fault(field, "true or false")
        return value

    def integer(self, field: str, default: int, *, least: int = 0) -> int:
        """A whole number, not below `least`."""
        value = self.content.get(field)
        if value is None:
            return default
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise self.fault(field, f"a whole number of at least {least}")
        return value

    def seconds(self, field: str, default: float) -> float:
        """A duration, not negative."""
        value = self.content.get(field)
        if value is None:
            return default
        try:
            found = parse_duration(str(value))
        except ValueError as error:
            raise self.fault(field, "a duration such as 1h30m or 15s") from error
        if found < 0:
            raise self.fault(field, "a duration of at least 0")
        return found

    def flags(self, field: str) -> dict[str, bool]:
        """A mapping of names to true or false."""
        value = self.content.get(field) or {}
        if not isinstance(value, dict) or not all(isinstance(v, bool) for v in value.values()):
            raise self.fault(field, "a mapping of names to true or false")
        return value

    def _at(self, field: str) -> str:
        return f"{self.path}.{field}" if self.path else field

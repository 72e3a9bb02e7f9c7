"""Numbers and booleans in annotations, read as Go reads them (strconv), with Go's words when they cannot be."""

from __future__ import annotations

import re
from typing import Final

_INTEGER: Final = re.compile(r"[+-]?[0-9]+", re.ASCII)
_TRUE: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "FALSE", "false", "False"})


def parse_int(text: str, function: str = "Atoi", bits: int = 64) -> int:
    """strconv.Atoi or ParseInt. Raises ValueError with Go's text."""
    if not _INTEGER.fullmatch(text):
        raise ValueError(f'strconv.{function}: parsing "{text}": invalid syntax')
    number = int(text)
    if not -(1 << bits - 1) <= number < 1 << bits - 1:
        raise ValueError(f'strconv.{function}: parsing "{text}": value out of range')
    return number


def parse_bool(text: str) -> bool:
    """strconv.ParseBool. Raises ValueError with Go's text."""
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError(f'strconv.ParseBool: parsing "{text}": invalid syntax')

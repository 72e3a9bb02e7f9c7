"""Structural schemas at work: pruning, defaulting, validation of custom objects, and reading built-in ones.

- `StructuralSchema`: one custom kind's schema, compiled as objects come.
- `decode`: a built-in object as Go's decoder would read it.
"""

from raysail.apiserver.schema.decode import DecodeError, decode
from raysail.apiserver.schema.structural import StructuralSchema

__all__ = ["DecodeError", "StructuralSchema", "decode"]

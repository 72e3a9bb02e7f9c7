"""CEL, the language of validation rules, compiled to Python.

text → `parser` (tree, macros expanded) → `checker` (static types, against the schema) → `emitter` (Python's `ast`) → `program` (evaluate, with a budget).
`rules` runs a schema's x-kubernetes-validations on objects. Functions are declared by signature in the `*_library` modules.
"""

from raysail.apiserver.cel.program import CelError, CostExceeded, Program, compile_expression
from raysail.apiserver.cel.rules import Rule, SchemaRules, compile_fault
from raysail.apiserver.cel.syntax import CelSyntaxError

__all__ = ["CelError", "CelSyntaxError", "CostExceeded", "Program", "Rule", "SchemaRules", "compile_expression", "compile_fault"]

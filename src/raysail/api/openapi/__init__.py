"""The schemas of Kubernetes' built-in kinds, as data, and one way to walk them.

`SchemaNode` is a view on an OpenAPI v3 schema (built-in or a CRD's) with `$ref` resolved on the way down. Structural validation, strategic merge,
server-side apply, field validation and OpenAPI documents all walk schemas through it.
"""

from raysail.api.openapi.node import SchemaNode
from raysail.api.openapi.schemas import KUBERNETES_VERSION, builtin_node, builtin_schemas, schema_name

__all__ = ["KUBERNETES_VERSION", "SchemaNode", "builtin_node", "builtin_schemas", "schema_name"]

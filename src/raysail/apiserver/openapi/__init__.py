"""OpenAPI documents of what the API serves: v3 by group version, v2 as one, both built from the registry's definitions when asked for.

`OpenApiPages(registry)` answers paths under /openapi/.
"""

from raysail.apiserver.openapi.pages import Document, OpenApiDocuments, OpenApiPages

__all__ = ["Document", "OpenApiDocuments", "OpenApiPages"]

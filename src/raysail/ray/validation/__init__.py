"""What the Ray controllers refuse to work on, in KubeRay's words (controllers/ray/utils/validation.go).

The API's schema and admission have seen these objects already; here is what KubeRay checks afterwards, in its controllers. All raise `InvalidError`.
"""

from raysail.ray.validation.errors import InvalidError

__all__ = ["InvalidError"]

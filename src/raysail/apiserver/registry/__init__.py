"""What the API serves: Kubernetes' own kinds from a table, custom ones as their CRDs come and go."""

from raysail.apiserver.registry.registry import Registry, version_order

__all__ = ["Registry", "version_order"]

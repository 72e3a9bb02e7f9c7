"""What stands under an object's name and is more than the object: scale, binding, eviction, finalize, tokens, reviews, streams."""

from raysail.apiserver.subresources.install import install

__all__ = ["install"]

"""Controllers of Kueue's own kinds: thin shells around the pure parts of `raysail.queue`."""

from raysail.queue import register

__all__ = ["register"]

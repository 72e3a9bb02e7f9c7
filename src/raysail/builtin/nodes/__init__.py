"""Whether Nodes may take Pods."""

from raysail.builtin.nodes.controller import register

__all__ = ["register"]

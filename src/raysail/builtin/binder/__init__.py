"""Giving Pods a Node: a small scheduler for one machine that presents itself as some Nodes."""

from raysail.builtin.binder.controller import register

__all__ = ["register"]

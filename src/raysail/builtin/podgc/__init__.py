"""Pods that nobody will ever end: those on Nodes that are gone, and those deleted before they had one."""

from raysail.builtin.podgc.controller import register

__all__ = ["register"]

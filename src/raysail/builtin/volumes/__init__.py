"""PersistentVolumeClaims on one machine: each gets a folder."""

from raysail.builtin.volumes.controller import register

__all__ = ["register"]

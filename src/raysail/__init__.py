"""raysail: the control plane for Ray. Queue it, run it, see it."""

__version__ = "0.1.0"

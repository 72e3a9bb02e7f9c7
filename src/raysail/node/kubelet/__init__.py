"""The kubelet's HTTP API on a Unix socket: logs, exec, attach, port-forward, stats. The API server bridges to it."""

from raysail.node.kubelet.server import serve

__all__ = ["serve"]

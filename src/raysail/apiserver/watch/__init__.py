"""Watches: changes of a collection as an endless stream of lines."""

from raysail.apiserver.watch.stream import Streams, serve_watch

__all__ = ["Streams", "serve_watch"]

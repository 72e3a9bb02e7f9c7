"""Streams to and from Pods: log, exec, attach, port-forward. The API checks and bridges; the node agent does the work."""

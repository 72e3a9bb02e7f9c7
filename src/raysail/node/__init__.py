"""The node agent: runs the Pods of its Nodes as processes of this machine. Speaks only the Kubernetes API.

`process` is the entry; `machine` decides for one Pod (pure), `worker` does it; `supervisor` is the small process that each Pod's containers hang on.
"""

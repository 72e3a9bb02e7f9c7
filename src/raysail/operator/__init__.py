"""The controllers process: puts queue, ray and builtin together on one manager, on one machine and on Kubernetes alike."""

"""The controllers process: puts queue, ray and builtin together and runs them against one Kubernetes API."""

"""Kubernetes' REST: from an HTTP request to the store and back."""

"""What every namespace gets: a default service account, and the certificate authority that its Pods trust."""

from raysail.builtin.serviceaccounts.controller import register

__all__ = ["register"]

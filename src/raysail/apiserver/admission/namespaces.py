"""NamespaceLifecycle: nothing is created where no namespace is or where it ends; some namespaces stay.

k8s.io/apiserver pkg/admission/plugin/namespace/lifecycle.
"""

from __future__ import annotations

from typing import Final

from raysail.api.errors import Cause, not_found
from raysail.api.resources import Resource
from raysail.apiserver.admission.chain import Operation
from raysail.apiserver.admission.refusal import forbidden
from raysail.apiserver.store import Store

_IMMORTAL: Final = frozenset({"default", "kube-system", "kube-public"})


class NamespaceLifecycle:
    """Looks namespaces up in the store."""

    mutating = False

    def __init__(self, store: Store) -> None:
        self._store = store

    def concerns(self, resource: Resource) -> bool:
        """Whatever lives in a namespace, and namespaces."""
        return resource.namespaced or resource.kind == "Namespace"

    def admit(self, operation: Operation) -> None:
        """Raises StatusError (403, 404)."""
        resource = operation.definition.resource
        if operation.verb == "delete":
            if (resource.group, resource.kind) == ("", "Namespace") and operation.name in _IMMORTAL:
                raise forbidden(operation, "this namespace may not be deleted")
            return
        if not operation.namespace or resource.kind == "Namespace" or resource.kind == "LocalSubjectAccessReview":
            return
        if operation.verb != "create":
            return
        record = self._store.latest("namespaces", operation.namespace)
        if record is None:
            raise not_found("", "namespaces", operation.namespace)
        if record.meta.deletionTimestamp:
            namespace = operation.namespace
            cause = Cause("NamespaceTerminating", f"namespace {namespace} is being terminated", "metadata.namespace")
            raise forbidden(operation, f"unable to create new content in namespace {namespace} because it is being terminated", cause)

    def validate(self, operation: Operation) -> None:
        """Nothing more."""

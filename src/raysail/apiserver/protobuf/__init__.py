"""Reading bodies in Kubernetes' protobuf form, which Go's typed clients (kubectl create, auth can-i) send. Answers are always JSON: they accept it."""

from raysail.apiserver.protobuf.envelope import decode_object

__all__ = ["decode_object"]

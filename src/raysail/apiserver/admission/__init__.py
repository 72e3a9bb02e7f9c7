"""Between defaulting and validation: what others than the kind itself have to say about a write. All in process, none may wait."""

from raysail.apiserver.admission.chain import Admission, Operation, Plugin

__all__ = ["Admission", "Operation", "Plugin"]

"""namespaces/finalize: the namespace controller reports that the content is gone (pkg/registry/core/namespace)."""

from __future__ import annotations

from raysail.apiserver.rest import forms
from raysail.apiserver.rest.answer import Answer
from raysail.apiserver.rest.call import Call
from raysail.apiserver.rest.objects import read_object
from raysail.apiserver.rest.options import dry_run
from raysail.apiserver.rest.reading import absent
from raysail.apiserver.rest.storing import encode_object, encoder, persist
from raysail.apiserver.rest.writing import check_version


async def finalize(call: Call) -> Answer:
    """PUT: takes over spec.finalizers; the last one gone, the namespace goes."""
    wanted, _ = read_object(call)
    record = call.store.latest("namespaces", call.target.name)
    if record is None:
        raise absent(call)
    namespace = record.object()
    check_version(call, wanted, namespace)
    left = (wanted.get("spec") or {}).get("finalizers") or []
    if left:
        namespace.setdefault("spec", {})["finalizers"] = left
    else:
        namespace.get("spec", {}).pop("finalizers", None)
    namespace.setdefault("spec", {})
    if dry_run(call):
        return forms.object_answer(call, encode_object(call.definition, namespace))
    if not left and namespace["metadata"].get("deletionTimestamp") and not namespace["metadata"].get("finalizers"):
        change = await call.store.delete("namespaces", record.key, encoder(call.definition, namespace))
        return forms.object_answer(call, change.last.data)
    return forms.object_answer(call, await persist(call, record.key, namespace))

"""create and update: one way from an object to the store (patches come in through `patching`).

Everything between looking up what is there (`Store.latest`) and handing the result to the store happens in one turn of the event loop, so no
other write can come in between: a conflict is only ever between what a client read and what is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import orjson

from raysail.api.errors import Cause, StatusError, bad_request, conflict, invalid
from raysail.apiserver.apply import settle_times
from raysail.apiserver.rest import forms, metadata
from raysail.apiserver.rest.answer import Answer
from raysail.apiserver.rest.call import Call, decoded
from raysail.apiserver.rest.objects import prepare_identity, read_object, report_fields
from raysail.apiserver.rest.options import check_manager, dry_run
from raysail.apiserver.rest.reading import absent
from raysail.apiserver.rest.storing import encode_object, encoder, operation_of, persist, refused, taken
from raysail.apiserver.store import Record

# PUT of these may create them; and these must be told which version they replace (AllowCreateOnUpdate, AllowUnconditionalUpdate of each strategy).
_PUT_CREATES: Final = frozenset(
    {
        "leases",
        "endpoints",
        "events",
        "limitranges",
        "services",
        "runtimeclasses",
        "roles",
        "rolebindings",
        "clusterroles",
        "clusterrolebindings",
    }
)
_PUT_NEEDS_VERSION: Final = frozenset(
    {
        "leases",
        "runtimeclasses",
        "poddisruptionbudgets",
        "csidrivers",
        "csinodes",
        "csistoragecapacities",
        "volumeattachments",
        "customresourcedefinitions",
        "apiservices",
        "mutatingwebhookconfigurations",
        "validatingwebhookconfigurations",
        "validatingadmissionpolicies",
        "validatingadmissionpolicybindings",
        "mutatingadmissionpolicies",
        "mutatingadmissionpolicybindings",
    }
)
MODIFIED: Final = "the object has been modified; please apply your changes to the latest version and try again"


async def create(call: Call) -> Answer:
    """POST to a collection."""
    check_manager(call)
    obj, faults = read_object(call)
    report_fields(call, faults)
    prepare_identity(call, obj)
    data = await store_new(call, obj, defaulted=call.definition.strategy.defaults_at_decoding)
    return forms.object_answer(call, data, HTTPStatus.CREATED)


async def store_new(call: Call, obj: dict[str, Any], *, track: bool = True, defaulted: bool = False) -> bytes:
    """A decoded object through creation's rules into the store; gives its JSON text in the request's version.

    `track`: note its creator as the owner of its fields (an apply has done so itself). `defaulted`: its defaults are filled in.
    """
    definition, strategy = call.definition, call.definition.strategy
    now = call.now
    metadata.fill_for_create(obj, definition, call.target.namespace, now)
    call.warnings += metadata.deduplicate_owners(obj["metadata"])
    name = obj["metadata"].get("name", "")
    request = call.request()
    if not defaulted:
        strategy.default(obj)
    if track:
        call.shared.ownership.track(call, None, obj)
    admission = call.shared.admission
    operation = operation_of(call, "create", obj, None, name=name)
    admission.admit(operation)
    strategy.prepare_for_create(obj, request)
    if strategy.prepares_creation or admission.may_change(definition.resource):
        strategy.default(obj)  # what was put in may have defaults of its own
    metadata.tidy(obj["metadata"])
    causes = [*strategy.validate(obj, request), *metadata.faults(obj, definition)]
    if causes:
        raise refused(definition, obj, causes)
    admission.validate(operation)
    call.warnings += strategy.warnings(obj)
    if definition.custom:
        call.warnings += metadata.finalizer_warnings(obj["metadata"], None)
    key = f"{call.target.namespace}/{name}" if definition.resource.namespaced else name
    present = call.store.latest(definition.collection, key)
    if present is not None:
        raise taken(call, name, present)
    if dry_run(call):
        return encode_object(definition, obj)
    return await persist(call, key, obj)


async def update(call: Call) -> Answer:
    """PUT of an object or a subresource that shares its shape."""
    check_manager(call)
    new, faults = read_object(call)
    report_fields(call, faults)
    given = new["metadata"].get("name", "")
    if given != call.target.name:
        text = (
            "name must be provided"
            if not given
            else f"the name of the object ({given}) does not match the name on the URL ({call.target.name})"
        )
        raise bad_request(text)
    metadata.check_namespace(new["metadata"], call.definition, call.target.namespace)
    record = call.store.latest(call.definition.collection, call.key)
    if record is None:
        if call.target.plural in _PUT_CREATES and not call.definition.custom and not call.target.subresource:
            data = await store_new(call, new)
            return forms.object_answer(call, data, HTTPStatus.CREATED)
        raise absent(call)
    old = decoded(call.definition, record.object())
    return await replace(call, record, old, new)


async def replace(call: Call, record: Record, old: dict[str, Any], new: dict[str, Any], *, track: bool = True) -> Answer:
    """A changed object through update's rules into the store, as the answer."""
    return forms.object_answer(call, await store_changed(call, record, old, new, track=track))


async def store_changed(call: Call, record: Record, old: dict[str, Any], new: dict[str, Any], *, track: bool = True) -> bytes:
    """A changed object through update's rules into the store; gives its JSON text in the request's version."""
    definition, strategy = call.definition, call.definition.strategy
    check_version(call, new, old)
    request = call.request()
    before = orjson.loads(orjson.dumps(old))
    metadata.carry_over(new, before)
    call.warnings += metadata.deduplicate_owners(new["metadata"])
    strategy.prepare_for_update(new, before, request)
    strategy.default(new)
    if track:
        call.shared.ownership.track(call, old, new)
    operation = operation_of(call, "update", new, before)
    call.shared.admission.admit(operation)
    if definition.custom:
        strategy.default(new)
    metadata.tidy(new["metadata"])
    causes = [*metadata.faults(new, definition), *metadata.update_faults(new, before), *strategy.validate_update(new, before, request)]
    if causes:
        raise refused(definition, new, causes)
    call.shared.admission.validate(operation)
    call.warnings += strategy.warnings(new)
    if definition.custom:
        call.warnings += metadata.finalizer_warnings(new["metadata"], before["metadata"])
    if "generation" in before["metadata"] and strategy.spec_changed(new, before):
        new["metadata"]["generation"] = before["metadata"]["generation"] + 1
    finished = before["metadata"].get("deletionTimestamp") and not new["metadata"].get("finalizers")
    if finished and not before["metadata"].get("deletionGracePeriodSeconds") and before["metadata"].get("finalizers"):
        return await _let_go(call, before, new)
    if new == old or settle_times(new, old):
        return encode_object(definition, old)
    if dry_run(call):
        return encode_object(definition, new)
    return await persist(call, record.key, new)


def check_version(call: Call, new: dict[str, Any], old: Mapping[str, Any]) -> None:
    """Raises StatusError (409, 422, 500) when the client means another object, or another version of it, than what is there.

    No version at all means any, where the kind allows that (registry/store.go Update).
    """
    resource, wanted = call.definition.resource, new["metadata"]
    version, uid = wanted.get("resourceVersion") or "0", wanted.get("uid", "")
    if call.verb == "update" and uid and uid != old["metadata"]["uid"]:
        text = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {old['metadata']['uid']}"
        raise conflict(resource.group, resource.plural, call.target.name, text)
    if not version.isdigit():
        raise StatusError("", f'strconv.ParseUint: parsing "{version}": invalid syntax', 500)
    if int(version) == 0:
        if call.definition.custom or resource.plural in _PUT_NEEDS_VERSION:
            cause = Cause("FieldValueInvalid", "Invalid value: 0: must be specified for an update", "metadata.resourceVersion")
            raise invalid(resource.group, resource.plural, call.target.name, [cause])
        wanted["resourceVersion"] = old["metadata"]["resourceVersion"]
    elif version != old["metadata"]["resourceVersion"]:
        raise conflict(resource.group, resource.plural, call.target.name, MODIFIED)


async def _let_go(call: Call, old: dict[str, Any], new: dict[str, Any]) -> bytes:
    """The last finalizer left an object that is being deleted: now it goes. Watches see it as it was last stored."""
    if not dry_run(call):
        await call.store.delete(call.definition.collection, call.key, encoder(call.definition, old))
    return encode_object(call.definition, new)

"""create, update and patch: one way from a body to the store.

Everything between looking up what is there (`Store.latest`) and handing the result to the store happens in one turn of the event loop, so no
other write can come in between: a conflict is only ever between what a client read and what is there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

import orjson

from raysail.api.errors import Cause, StatusError, already_exists, bad_request, conflict, invalid
from raysail.api.openapi import SchemaNode
from raysail.apiserver.admission import Operation
from raysail.apiserver.apply import settle_times
from raysail.apiserver.patch import (
    apply_json_patch,
    apply_merge_patch,
    apply_strategic_patch,
    json_patch_unknown_fields,
    unreadable,
)
from raysail.apiserver.rest import body as bodies
from raysail.apiserver.rest import forms, metadata
from raysail.apiserver.rest.answer import Answer
from raysail.apiserver.rest.call import Call, decoded
from raysail.apiserver.rest.reading import absent
from raysail.apiserver.store import Record
from raysail.apiserver.strategy import Decoded, Definition

JSON_PATCH: Final = "application/json-patch+json"
MERGE_PATCH: Final = "application/merge-patch+json"
STRATEGIC_PATCH: Final = "application/strategic-merge-patch+json"
APPLY_PATCH: Final = "application/apply-patch+yaml"
_VALIDATIONS: Final = ("Ignore", "Warn", "Strict")
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
_MANAGER_BYTES: Final = 128
MODIFIED: Final = "the object has been modified; please apply your changes to the latest version and try again"


async def create(call: Call) -> Answer:
    """POST to a collection."""
    check_manager(call)
    obj, faults = read_object(call)
    report_fields(call, faults)
    prepare_identity(call, obj)
    data = await store_new(call, obj)
    return forms.object_answer(call, data, HTTPStatus.CREATED)


async def store_new(call: Call, obj: dict[str, Any], *, track: bool = True) -> bytes:
    """A decoded object through creation's rules into the store; gives its JSON text in the request's version.

    `track`: note its creator as the owner of its fields (an apply has done so itself).
    """
    definition, strategy = call.definition, call.definition.strategy
    now = call.shared.now()
    metadata.fill_for_create(obj, definition, call.target.namespace, now)
    call.warnings += metadata.deduplicate_owners(obj["metadata"])
    name = obj["metadata"].get("name", "")
    request = call.request()
    strategy.default(obj)
    if track:
        call.shared.ownership.track(call, None, obj)
    operation = operation_of(call, "create", obj, None, name=name)
    call.shared.admission.admit(operation)
    strategy.prepare_for_create(obj, request)
    strategy.default(obj)  # what admission put in may have defaults of its own
    metadata.tidy(obj["metadata"])
    causes = [*strategy.validate(obj, request), *metadata.faults(obj, definition)]
    if causes:
        raise refused(definition, obj, causes)
    call.shared.admission.validate(operation)
    call.warnings += strategy.warnings(obj)
    if definition.custom:
        call.warnings += metadata.finalizer_warnings(obj["metadata"], None)
    key = f"{call.target.namespace}/{name}" if definition.resource.namespaced else name
    present = call.store.latest(definition.collection, key)
    if present is not None:
        raise _taken(call, name, present)
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
    version = new["metadata"].get("resourceVersion", "")
    if version and not version.isdigit():
        raise StatusError("", f'strconv.ParseUint: parsing "{version}": invalid syntax', 500)
    old = decoded(call.definition, record.object())
    if version in ("", "0"):
        unconditional = not call.definition.custom and call.target.plural not in _PUT_NEEDS_VERSION
        new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"] if unconditional else ""
    return await replace(call, record, old, new)


async def patch(call: Call) -> Answer:
    """PATCH in any of its four kinds."""
    media = bodies.media_type(call.header(b"content-type"))
    served = [JSON_PATCH, MERGE_PATCH, APPLY_PATCH] if call.definition.custom else [JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH, APPLY_PATCH]
    if media not in served:
        if not call.definition.custom:
            raise StatusError("UnsupportedMediaType", "415: Unsupported Media Type", empty_details=True)
        raise bodies.unsupported(media, ", ".join(served))
    _check_options(call, apply=media == APPLY_PATCH)
    if media == APPLY_PATCH:
        return await _apply(call)
    record = call.store.latest(call.definition.collection, call.key)
    if record is None:
        raise absent(call)
    document = _document(call)
    old = decoded(call.definition, record.object())
    strategic = media == STRATEGIC_PATCH
    new, unknown = patched(call.definition.strategy.schema, old, document, media)
    new = orjson.loads(orjson.dumps(new))  # a patch shares subtrees with the old object
    shown = document if strategic else new
    if not isinstance(new, dict):
        raise unreadable(shown, "the patched document is not an object", strategic=strategic)
    if not isinstance(new.get("metadata"), dict):
        new["metadata"] = {}
    try:
        result = call.definition.strategy.decode(new)
    except StatusError as error:
        raise unreadable(shown, error.message, strategic=strategic) from error
    texts = [*unknown, *_texts(result)]
    if texts and validation(call) == "Strict":
        raise unreadable(shown, f"strict decoding error: {', '.join(texts)}", strategic=strategic)
    if validation(call) == "Warn":
        call.warnings += texts
    new = result.object
    _check_type(call.definition, new)
    return await replace(call, record, old, _same_place(call, new))


def _same_place(call: Call, new: dict[str, Any]) -> dict[str, Any]:
    """Raises StatusError (400) when a patch would move the object."""
    name = new["metadata"].get("name", "")
    if name != call.target.name:
        raise bad_request(f"the name of the object ({name}) does not match the name on the URL ({call.target.name})")
    metadata.check_namespace(new["metadata"], call.definition, call.target.namespace)
    return new


async def _apply(call: Call) -> Answer:
    """Server-side apply: what the configuration says, others' fields as they are. Creates what is not there."""
    config = read_yaml(call)
    record = call.store.latest(call.definition.collection, call.key)
    if record is None and call.target.subresource:
        raise absent(call)
    config.setdefault("metadata", {})
    if isinstance(config["metadata"], dict):
        name = config["metadata"].setdefault("name", call.target.name)
        if name != call.target.name:
            raise bad_request(f"the name of the object ({name}) does not match the name on the URL ({call.target.name})")
        if call.definition.resource.namespaced:
            config["metadata"].setdefault("namespace", call.target.namespace)
    old = decoded(call.definition, record.object()) if record is not None else None
    manager = call.shared.ownership.manager(call.definition, call.target.subresource)
    merged = manager.apply(old, config, manager=call.query["fieldManager"], force=force(call), now=call.shared.now())
    new = orjson.loads(orjson.dumps(merged))
    new.setdefault("metadata", {})
    result = call.definition.strategy.decode(new)
    new = result.object
    if old is None or record is None:
        prepare_identity(call, new)
        if new["metadata"].get("uid"):
            resource, uid = call.definition.resource, new["metadata"]["uid"]
            text = f"uid mismatch: the provided object specified uid {uid}, and no existing object was found"
            raise conflict(resource.group, resource.plural, call.target.name, text)
        # Whoever applies what is not there creates it, and needs the right to.
        call.authorize_create()
        return forms.object_answer(call, await store_new(call, new, track=False), HTTPStatus.CREATED)
    return await replace(call, record, old, _same_place(call, new), track=False)


def read_yaml(call: Call) -> dict[str, Any]:
    """An apply's configuration. Raises StatusError (400)."""
    config, twice = bodies.decode(call.body, bodies.YAML_TYPES[0], find_duplicates=True)
    if not isinstance(config, dict):
        raise bad_request("error decoding YAML: the configuration is not an object")
    if twice and validation(call) == "Strict":
        raise bad_request(f"error decoding YAML: {', '.join(f'key {path!r} already set in map' for path in twice)}")
    return config


def force(call: Call) -> bool:
    """Whether an apply takes over what others own."""
    return call.query.get("force", "") in ("1", "t", "T", "true", "TRUE", "True")


def check_manager(call: Call) -> None:
    """Raises StatusError (422) for a field manager whose name is too long or cannot be printed."""
    name = call.query.get("fieldManager", "")
    causes = []
    if len(name.encode()) > _MANAGER_BYTES:
        causes.append(Cause("FieldValueTooLong", f"Too long: may not be more than {_MANAGER_BYTES} bytes", "fieldManager"))
    if not name.isprintable():
        causes.append(
            Cause(
                "FieldValueInvalid",
                f"Invalid value: {orjson.dumps(name).decode()}: should only contain printable characters",
                "fieldManager",
            )
        )
    if causes:
        raise invalid("meta.k8s.io", _options_kind(call), "", causes)


def _check_options(call: Call, *, apply: bool) -> None:
    check_manager(call)
    causes = []
    if apply and not call.query.get("fieldManager"):
        causes.append(Cause("FieldValueRequired", "Required value: is required for apply patch", "fieldManager"))
    if not apply and "force" in call.query:
        causes.append(Cause("FieldValueForbidden", "Forbidden: may not be specified for non-apply patch", "force"))
    if causes:
        raise invalid("meta.k8s.io", "PatchOptions", "", causes)


def _document(call: Call) -> Any:
    try:
        return orjson.loads(call.body)
    except orjson.JSONDecodeError as error:
        raise bad_request(f"error decoding patch: {error}") from error


def patched(node: SchemaNode, old: Mapping[str, Any], document: Any, media: str) -> tuple[Any, list[str]]:
    """The object after the patch, and what strict validation has to say about the patch itself."""
    if media == JSON_PATCH:
        return apply_json_patch(old, document), json_patch_unknown_fields(document)
    if media == MERGE_PATCH:
        return apply_merge_patch(old, document), []
    return apply_strategic_patch(old, document, node), []


def patched_by(call: Call, old: Mapping[str, Any], media: str, node: SchemaNode) -> Any:
    """What the request's patch makes of an object that is not the stored one (a Scale). Raises StatusError."""
    return patched(node, old, _document(call), media)[0]


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


def check_version(call: Call, new: Mapping[str, Any], old: Mapping[str, Any]) -> None:
    """Raises StatusError (409) when the client means another object than the one that is there."""
    resource, metadata_ = call.definition.resource, new["metadata"]
    version, uid = metadata_.get("resourceVersion", ""), metadata_.get("uid", "")
    if call.verb == "update" and uid and uid != old["metadata"]["uid"]:
        text = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {old['metadata']['uid']}"
        raise conflict(resource.group, resource.plural, call.target.name, text)
    if version and version != old["metadata"]["resourceVersion"]:
        raise conflict(resource.group, resource.plural, call.target.name, MODIFIED)


async def _let_go(call: Call, old: dict[str, Any], new: dict[str, Any]) -> bytes:
    """The last finalizer left an object that is being deleted: now it goes. Watches see it as it was last stored."""
    if not dry_run(call):
        await call.store.delete(call.definition.collection, call.key, encoder(call.definition, old))
    return encode_object(call.definition, new)


# Bodies.


def read_object(call: Call) -> tuple[dict[str, Any], list[str]]:
    """The body as an object of the call's kind, and texts about fields that are unknown or came twice. Raises StatusError (400, 415)."""
    media = bodies.media_type(call.header(b"content-type"))
    value, twice = bodies.decode(call.body, media, find_duplicates=validation(call) != "Ignore")
    definition = call.definition
    kind, version = definition.resource.kind, definition.resource.version
    if not isinstance(value, dict):
        raise bad_request(f'{kind} in version "{version}" cannot be handled as a {kind}: the body is not an object')
    _check_type(definition, value, call.body)
    if value.get("metadata") is None:
        value["metadata"] = {}
    try:
        result = definition.strategy.decode(value)
    except StatusError as error:
        if "cannot be handled" in error.message:
            raise
        raise bad_request(f'{kind} in version "{version}" cannot be handled as a {kind}: {error.message}') from error
    return result.object, [*_texts(result), *(f'duplicate field "{path}"' for path in twice)]


def _texts(result: Decoded) -> list[str]:
    return [f'unknown field "{path}"' for path in result.unknown] + [f'duplicate field "{path}"' for path in result.duplicate]


def _check_type(definition: Definition, obj: dict[str, Any], text: bytes = b"") -> None:
    resource = definition.resource
    given_version, given_kind = obj.get("apiVersion") or "", obj.get("kind") or ""
    if definition.custom and text and not (given_version and given_kind):
        # Custom objects have no Go type to fall back on.
        missing, shown = ("Kind" if not given_kind else "apiVersion"), text.decode("utf-8", "replace")
        brief = shown if len(shown) <= 35 else shown[:35] + " ..."
        raise bad_request(
            f"the object provided is unrecognized (must be of type {resource.kind}): Object '{missing}' is missing in '{shown}' ({brief})"
        )
    if given_version and given_version != resource.api_version:
        message = f"the API version in the data ({given_version}) does not match the expected API version ({resource.api_version})"
        raise bad_request(message)
    if definition.custom and given_kind:
        return  # another kind is a fault of the object, found by validation
    if given_kind and given_kind != resource.kind:
        raise bad_request(
            f'{given_kind} in version "{resource.version}" cannot be handled as a {resource.kind}: no kind "{given_kind}" is registered here'
        )
    obj["kind"], obj["apiVersion"] = resource.kind, resource.api_version


def validation(call: Call) -> str:
    """fieldValidation: Ignore, Warn (the default) or Strict. Raises StatusError (422)."""
    given = call.query.get("fieldValidation", "") or "Warn"
    if given not in _VALIDATIONS:
        text = f'Unsupported value: "{given}": supported values: "", "Ignore", "Strict", "Warn"'
        raise invalid("meta.k8s.io", _options_kind(call), "", [Cause("FieldValueNotSupported", text, "fieldValidation")])
    return given


def _options_kind(call: Call) -> str:
    return {"create": "CreateOptions", "update": "UpdateOptions", "patch": "PatchOptions"}.get(call.verb, "CreateOptions")


def dry_run(call: Call) -> bool:
    """Whether nothing is to be stored. Raises StatusError (422) for anything but All."""
    given = call.query.get("dryRun", "")
    if given not in ("", "All"):
        text = f'Unsupported value: "{given}": supported values: "All"'
        raise invalid("meta.k8s.io", _options_kind(call), "", [Cause("FieldValueNotSupported", text, "dryRun")])
    return given == "All"


def report_fields(call: Call, texts: list[str]) -> None:
    """Refuses or warns about fields that the kind does not have, as the request's fieldValidation says."""
    if not texts:
        return
    if validation(call) == "Strict":
        kind, version = call.definition.resource.kind, call.definition.resource.version
        raise bad_request(f'{kind} in version "{version}" cannot be handled as a {kind}: strict decoding error: {", ".join(texts)}')
    if validation(call) == "Warn":
        call.warnings += texts


def prepare_identity(call: Call, obj: dict[str, Any]) -> None:
    """What a creation may not say. Raises StatusError."""
    if obj["metadata"].get("resourceVersion"):
        raise StatusError("", "resourceVersion should not be set on objects to be created", 500)


# Storing.


def operation_of(call: Call, verb: str, obj: dict[str, Any] | None, old: dict[str, Any] | None, *, name: str = "") -> Operation:
    """What admission is told."""
    return Operation(
        verb,
        call.definition,
        call.target.namespace if call.definition.resource.namespaced else "",
        name or call.target.name,
        call.target.subresource,
        call.user,
        obj,
        old,
        call.shared.now(),
        dry_run(call) if verb != "delete" else False,
        call.warnings,
    )


async def persist(call: Call, key: str, obj: dict[str, Any]) -> bytes:
    """Writes the object; gives its JSON text in the request's version, once it is on disk. Raises StatusError."""
    change = await call.store.put(call.definition.collection, key, _bounded(call, encoder(call.definition, obj)))
    if call.definition.conversion is None:
        return change.last.data
    return encode_object(call.definition, decoded(call.definition, change.last.object()))


def _bounded(call: Call, encode: Callable[[str], bytes]) -> Callable[[str], bytes]:
    limit = call.shared.limits.object_bytes

    def bounded(revision: str) -> bytes:
        data = encode(revision)
        if len(data) > limit:
            raise StatusError("RequestEntityTooLarge", f"the object has {len(data)} bytes as stored; at most {limit} are kept", 413)
        return data

    return bounded


def encoder(definition: Definition, obj: dict[str, Any]) -> Callable[[str], bytes]:
    """How the store writes the object once it knows the revision."""

    def encode(revision: str) -> bytes:
        obj["metadata"]["resourceVersion"] = revision
        kept = definition.conversion.to_storage(dict(obj)) if definition.conversion else obj
        return encode_object(definition, kept)

    return encode


def encode_object(definition: Definition, obj: Mapping[str, Any]) -> bytes:
    """JSON text; kind and apiVersion stand first for built-in kinds, so that lists can leave them out without decoding."""
    if definition.custom:
        return orjson.dumps(obj, option=orjson.OPT_SORT_KEYS)  # as Go writes maps
    rest = {key: value for key, value in obj.items() if key not in ("kind", "apiVersion")}
    return orjson.dumps({"kind": obj["kind"], "apiVersion": obj["apiVersion"], **rest})


def refused(definition: Definition, obj: Mapping[str, Any], causes: list[Cause]) -> StatusError:
    """422 of the kind that the object says it is."""
    group = definition.resource.group if definition.storage_group is None else definition.storage_group
    return invalid(group, obj.get("kind") or definition.resource.kind, obj["metadata"].get("name", ""), causes)


def _taken(call: Call, name: str, present: Record) -> StatusError:
    resource = call.definition.resource
    if present.meta.deletionTimestamp:
        return StatusError(
            "AlreadyExists",
            f'object is being deleted: {call.definition.group_resource} "{name}" already exists',
            details={key: value for key, value in (("name", name), ("group", resource.group), ("kind", resource.plural)) if value},
        )
    return already_exists(resource.group, resource.plural, name)

"""delete and deletecollection: grace, finalizers, what happens to dependents.

k8s.io/apiserver pkg/registry/rest/delete.go and pkg/registry/generic/registry/store.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final

import orjson

from raysail.api.errors import Cause, StatusError, bad_request, conflict, invalid
from raysail.api.meta import format_time, parse_time
from raysail.apiserver.customresources.acceptance import CLEANUP_FINALIZER
from raysail.apiserver.rest import body as bodies
from raysail.apiserver.rest import forms
from raysail.apiserver.rest.answer import Answer, json_answer
from raysail.apiserver.rest.call import Call, decoded
from raysail.apiserver.rest.metadata import FOREGROUND, ORPHAN
from raysail.apiserver.rest.reading import absent, list_objects
from raysail.apiserver.rest.selection import selection_of
from raysail.apiserver.rest.storing import encode_object, encoder, operation_of
from raysail.apiserver.store import Record

# Kinds whose deletion answers the object rather than a Status (ReturnDeletedObject of each registry).
_RETURNED: Final = frozenset(
    {
        "namespaces",
        "persistentvolumes",
        "persistentvolumeclaims",
        "pods",
        "podtemplates",
        "resourcequotas",
        "services",
        "serviceaccounts",
        "csidrivers",
        "csinodes",
        "storageclasses",
        "volumeattachments",
        "volumeattributesclasses",
    }
)
_CRD: Final = ("apiextensions.k8s.io", "CustomResourceDefinition")
_POLICIES: Final = ("Orphan", "Background", "Foreground")
_ORPHANS_BY_DEFAULT: Final = frozenset({("batch", "jobs"), ("", "replicationcontrollers")})
_NO_COLLECTOR: Final = frozenset({("", "events"), ("events.k8s.io", "events")})


@dataclass(slots=True)
class Options:
    """DeleteOptions, from the body or the query. `orphan` is the deprecated orphanDependents."""

    grace_seconds: int | None = None
    policy: str = ""
    orphan: bool | None = None
    uid: str | None = None
    resource_version: str | None = None
    dry_run: bool = False
    ignore_read_error: bool = False


def read_options(call: Call) -> Options:
    """DeleteOptions of the request. Raises StatusError (400, 422)."""
    source: dict[str, Any] = {}
    if call.body:
        media = bodies.media_type(call.header(b"content-type"))
        value, _ = bodies.decode(call.body, media, find_duplicates=False)
        if not isinstance(value, dict):
            raise bad_request("the body of a deletion is a DeleteOptions object")
        if value.get("kind") not in (None, "", "DeleteOptions"):
            raise bad_request(f'no kind "{value.get("kind")}" is registered for a deletion: expected DeleteOptions')
        source = value
    else:
        query = call.query
        for key in ("gracePeriodSeconds",):
            if query.get(key):
                try:
                    source[key] = int(query[key])
                except ValueError as error:
                    raise bad_request(f'strconv.ParseInt: parsing "{query[key]}": invalid syntax') from error
        if query.get("propagationPolicy"):
            source["propagationPolicy"] = query["propagationPolicy"]
        if query.get("orphanDependents"):
            source["orphanDependents"] = query["orphanDependents"] in ("1", "t", "T", "true", "TRUE", "True")
        if query.get("dryRun"):
            source["dryRun"] = [query["dryRun"]]
    options = options_of(source)
    options.ignore_read_error = call.query.get("ignoreStoreReadErrorWithClusterBreakingPotential") in ("1", "true")
    return options


def options_of(source: Mapping[str, Any]) -> Options:
    """A DeleteOptions object, checked. Raises StatusError (400, 422)."""
    options = Options()
    grace = source.get("gracePeriodSeconds")
    if grace is not None and (isinstance(grace, bool) or not isinstance(grace, int)):
        raise bad_request(
            f"json: cannot unmarshal {type(grace).__name__} into Go struct field DeleteOptions.gracePeriodSeconds of type int64"
        )
    options.grace_seconds = grace if grace is None or grace >= 0 else 1
    options.policy = source.get("propagationPolicy") or ""
    options.orphan = source.get("orphanDependents")
    preconditions = source.get("preconditions") or {}
    options.uid, options.resource_version = preconditions.get("uid"), preconditions.get("resourceVersion")
    options.dry_run = bool(source.get("dryRun"))
    _check(options, source)
    return options


def _check(options: Options, source: Mapping[str, Any]) -> None:
    causes = []
    if options.policy and options.orphan is not None:
        causes.append(
            Cause(
                "FieldValueInvalid",
                f'Invalid value: "{options.policy}": orphanDependents and deletionPropagation cannot be both set',
                "propagationPolicy",
            )
        )
    if options.policy and options.policy not in _POLICIES:
        supported = '"Background", "Foreground", "Orphan", "nil"'
        causes.append(
            Cause("FieldValueNotSupported", f'Unsupported value: "{options.policy}": supported values: {supported}', "propagationPolicy")
        )
    if source.get("dryRun") and source["dryRun"] != ["All"]:
        causes.append(
            Cause(
                "FieldValueNotSupported", f'Unsupported value: {orjson.dumps(source["dryRun"]).decode()}: supported values: "All"', "dryRun"
            )
        )
    if causes:
        raise invalid("meta.k8s.io", "DeleteOptions", "", causes)


async def delete(call: Call) -> Answer:
    """DELETE of one object."""
    options = read_options(call)
    try:
        record = call.store.latest(call.definition.collection, call.key)
    except StatusError:
        if not options.ignore_read_error:
            raise
        return await _delete_damaged(call)
    if record is None:
        raise absent(call)
    if call.definition.resource.group == "batch" and call.target.plural == "jobs" and not options.policy and options.orphan is None:
        call.warnings.append(
            "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set propagationPolicy=Orphan to suppress this warning"
        )
    obj, gone = await remove(call, record, options)
    if not gone or _returned(call):
        waits = not gone and options.orphan is False
        return forms.object_answer(call, encode_object(call.definition, obj), HTTPStatus.ACCEPTED if waits else HTTPStatus.OK)
    resource = call.definition.resource
    details = {"name": obj["metadata"]["name"], "group": resource.group, "kind": resource.plural, "uid": obj["metadata"]["uid"]}
    details = {key: value for key, value in details.items() if value}
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
    return json_answer(status, warnings=call.warnings)


def _returned(call: Call) -> bool:
    return not call.definition.custom and call.target.plural in _RETURNED


async def _delete_damaged(call: Call) -> Answer:
    resource = call.definition.resource
    name, namespace = call.target.name, call.target.namespace
    shell = {
        "kind": resource.kind,
        "apiVersion": resource.api_version,
        "metadata": {"name": name, **({"namespace": namespace} if resource.namespaced else {})},
    }
    call.store.forget_corrupt(call.definition.collection, call.key)
    await call.store.delete(call.definition.collection, call.key, encoder(call.definition, shell))
    return json_answer(
        {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": {"name": name, "kind": resource.plural}}
    )


async def remove(call: Call, record: Record, options: Options) -> tuple[dict[str, Any], bool]:
    """Deletes the object or marks it; gives it as it is then, and whether it is gone. Raises StatusError (409, 403)."""
    definition = call.definition
    obj = decoded(definition, record.object())
    check_preconditions(call, obj, options)
    call.shared.admission.admit(operation_of(call, "delete", None, orjson.loads(orjson.dumps(obj)), name=obj["metadata"]["name"]))
    meta = obj["metadata"]
    before = orjson.dumps(obj)
    if not call.definition.resource.group and call.target.plural == "namespaces":
        _terminate(call, obj)
    graceful, pending = _grace(call, obj, options)
    if pending:
        return obj, False
    finalizers = _finalizers(call, obj, options)
    if (definition.resource.group, definition.resource.kind) == _CRD and not meta.get("deletionTimestamp"):
        finalizers = [*(name for name in finalizers if name != CLEANUP_FINALIZER), CLEANUP_FINALIZER]
    if finalizers:
        meta["finalizers"] = finalizers
    else:
        meta.pop("finalizers", None)
    if not graceful and finalizers:
        _mark(call, meta)
    held = finalizers or ((obj.get("spec") or {}).get("finalizers") and call.target.plural == "namespaces")
    if held or (graceful and meta["deletionGracePeriodSeconds"] > 0):
        if orjson.dumps(obj) == before or options.dry_run:
            return obj, False
        change = await call.store.put(definition.collection, record.key, encoder(definition, obj))
        return decoded(definition, change.last.object()), False
    if options.dry_run:
        return obj, True
    change = await call.store.delete(definition.collection, record.key, encoder(definition, obj))
    return decoded(definition, change.last.object()), True


def _terminate(call: Call, namespace: dict[str, Any]) -> None:
    """A namespace goes in two steps: it is marked, and once its content is gone its finalizer goes (pkg/registry/core/namespace/storage)."""
    meta = namespace["metadata"]
    if not meta.get("deletionTimestamp"):
        meta["deletionTimestamp"] = format_time(call.shared.now())
        namespace.setdefault("status", {})["phase"] = "Terminating"
    elif (namespace.get("spec") or {}).get("finalizers"):
        text = "The system is ensuring all content is removed from this namespace.  Upon completion, this namespace will automatically be purged by the system."
        raise conflict("", "namespaces", meta["name"], text)


def check_preconditions(call: Call, obj: Mapping[str, Any], options: Options) -> None:
    """Raises StatusError (409) when the object is not the one that is meant."""
    meta, resource = obj["metadata"], call.definition.resource
    for wanted, key, word in ((options.uid, "uid", "UID"), (options.resource_version, "resourceVersion", "ResourceVersion")):
        if wanted is not None and wanted != meta[key]:
            again = "The object might have been deleted and then recreated" if key == "uid" else "The object might have been modified"
            text = f"the {word} in the precondition ({wanted}) does not match the {word} in record ({meta[key]}). {again}"
            raise conflict(resource.group, resource.kind, meta["name"], text)


def _grace(call: Call, obj: dict[str, Any], options: Options) -> tuple[bool, bool]:
    """(graceful, already under way with no less time)."""
    if call.definition.resource.group or call.target.plural != "pods":
        return False, False
    meta = obj["metadata"]
    now = call.shared.now()
    if meta.get("deletionTimestamp"):
        running = meta.get("deletionGracePeriodSeconds")
        if not running:
            return False, False
        if options.grace_seconds is None or options.grace_seconds >= running:
            return False, True
        wanted = options.grace_seconds
        moment = parse_time(meta["deletionTimestamp"]) - timedelta(seconds=running) + timedelta(seconds=wanted)
        if moment < now:
            moment = now
            wanted = min(wanted, 1)
        meta["deletionTimestamp"], meta["deletionGracePeriodSeconds"] = format_time(moment), wanted
        return True, False
    seconds = pod_grace_seconds(obj, options.grace_seconds)
    meta["deletionTimestamp"] = format_time(now + timedelta(seconds=seconds))
    meta["deletionGracePeriodSeconds"] = seconds
    if meta.get("generation"):
        meta["generation"] += 1
    return True, False


def pod_grace_seconds(pod: Mapping[str, Any], asked: int | None) -> int:
    """How long the Pod may take to end (pkg/registry/core/pod/strategy.go CheckGracefulDelete)."""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    seconds = asked if asked is not None else spec.get("terminationGracePeriodSeconds", 30)
    if not spec.get("nodeName") or status.get("phase") in ("Failed", "Succeeded"):
        return 0
    return int(seconds) if seconds >= 0 else 1


def _mark(call: Call, meta: dict[str, Any]) -> None:
    now = call.shared.now()
    if not meta.get("deletionTimestamp") and meta.get("generation"):
        meta["generation"] += 1
    if not meta.get("deletionTimestamp") or parse_time(meta["deletionTimestamp"]) > now:
        meta["deletionTimestamp"] = format_time(now)
    meta["deletionGracePeriodSeconds"] = 0


def _finalizers(call: Call, obj: Mapping[str, Any], options: Options) -> list[str]:
    """The finalizers that the object keeps or gets: the garbage collector's according to the policy, others as they are."""
    present = list(obj["metadata"].get("finalizers") or ())
    place = (call.definition.resource.group, call.target.plural)
    if place in _NO_COLLECTOR:
        return present
    others = [name for name in present if name not in (ORPHAN, FOREGROUND)]
    if options.orphan is not None:
        wanted = ORPHAN if options.orphan else ""
    elif options.policy:
        wanted = {"Orphan": ORPHAN, "Foreground": FOREGROUND}.get(options.policy, "")
    else:
        kept = next((name for name in present if name in (ORPHAN, FOREGROUND)), "")
        wanted = kept or (ORPHAN if place in _ORPHANS_BY_DEFAULT and not call.definition.custom else "")
    result = others + ([wanted] if wanted else [])
    return present if set(result) == set(present) else result


async def delete_collection(call: Call) -> Answer:
    """DELETE of all that the selectors name; answers what was there."""
    options = read_options(call)
    matches = selection_of(call).matcher(call.definition)
    before = await list_objects(call)
    records = [record for record in call.store.latest_scan(call.definition.collection, call.target.namespace) if matches(record)]
    for record in records:
        latest = call.store.latest(call.definition.collection, record.key)
        if latest is not None:
            try:
                await remove(call, latest, options)
            except StatusError as error:
                if error.code != HTTPStatus.NOT_FOUND:
                    raise
    return before

"""What is the same for the metadata of all kinds: what the server sets, what may not change, what is refused.

Pure. k8s.io/apimachinery pkg/api/validation/objectmeta.go; k8s.io/apiserver pkg/registry/rest/{create,update}.go.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import orjson

from raysail.api.errors import Cause, bad_request
from raysail.api.meta import format_time
from raysail.api.names import label_key_faults, label_value_faults
from raysail.apiserver.rest.names import generate_name, name_faults, segment_faults
from raysail.apiserver.strategy import Definition

_ANNOTATION_BYTES: Final = 256 * 1024
ORPHAN: Final = "orphan"
FOREGROUND: Final = "foregroundDeletion"
# Finalizers without a domain that Kubernetes itself uses (pkg/apis/core/helper IsStandardFinalizerName).
_STANDARD_FINALIZERS: Final = frozenset({"kubernetes", ORPHAN, FOREGROUND})
_CORE_GROUPS: Final = frozenset({"", "apps", "batch", "autoscaling", "policy"})
# Built-in kinds whose objects count the generations of their spec.
_GENERATIONS: Final = frozenset(
    {
        ("", "Pod"),
        ("", "PodTemplate"),
        ("", "ReplicationController"),
        ("apps", "DaemonSet"),
        ("apps", "Deployment"),
        ("apps", "ReplicaSet"),
        ("apps", "StatefulSet"),
        ("batch", "CronJob"),
        ("batch", "Job"),
        ("networking.k8s.io", "Ingress"),
        ("networking.k8s.io", "IngressClass"),
        ("networking.k8s.io", "NetworkPolicy"),
        ("policy", "PodDisruptionBudget"),
        ("discovery.k8s.io", "EndpointSlice"),
        ("scheduling.k8s.io", "PriorityClass"),
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
        ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"),
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"),
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"),
        ("admissionregistration.k8s.io", "MutatingAdmissionPolicy"),
        ("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding"),
        ("apiextensions.k8s.io", "CustomResourceDefinition"),
    }
)


_entropy = bytearray()
# The bits that make sixteen random bytes a UUID of version 4 (RFC 9562).
_VERSION_AND_VARIANT: Final = 0xF << 76 | 0x3 << 62
_VERSION_4: Final = 0x4 << 76 | 0x2 << 62


def new_uid() -> str:
    """A random UUID. Randomness is fetched for many at once: a system call each would cost more than the rest of a small write."""
    if len(_entropy) < 16:
        _entropy.extend(os.urandom(4096))
    number = int.from_bytes(_entropy[-16:]) & ~_VERSION_AND_VARIANT | _VERSION_4
    del _entropy[-16:]
    digits = f"{number:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def fill_for_create(obj: dict[str, Any], definition: Definition, namespace: str, now: datetime) -> None:
    """What the server decides about a new object. Raises StatusError (400) for a namespace that is not the request's."""
    metadata = obj["metadata"]
    check_namespace(metadata, definition, namespace)
    for key in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "resourceVersion"):
        metadata.pop(key, None)
    metadata["uid"] = new_uid()
    metadata["creationTimestamp"] = format_time(now)
    if metadata.get("generateName") and not metadata.get("name"):
        metadata["name"] = generate_name(metadata["generateName"])
    if definition.custom or (definition.resource.group, definition.resource.kind) in _GENERATIONS:
        metadata["generation"] = 1
    elif not metadata.get("generation"):
        metadata.pop("generation", None)  # a number of the client's own stays where nothing counts


def check_namespace(metadata: dict[str, Any], definition: Definition, namespace: str) -> None:
    """Puts the request's namespace into the object, or raises StatusError (400) when it names another one."""
    expected = namespace if definition.resource.namespaced else ""
    given = metadata.get("namespace", "")
    if given and given != expected:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")
    if expected:
        metadata["namespace"] = expected
    else:
        metadata.pop("namespace", None)


def carry_over(obj: dict[str, Any], old: Mapping[str, Any]) -> None:
    """What an update cannot change, however it is written."""
    metadata, was = obj["metadata"], old["metadata"]
    for key in ("generation", "creationTimestamp", "deletionTimestamp"):
        if key in was:
            metadata[key] = was[key]
    if not metadata.get("uid"):
        metadata["uid"] = was["uid"]
    if "generation" not in was:
        metadata.pop("generation", None)
    if metadata.get("deletionGracePeriodSeconds") is None and "deletionGracePeriodSeconds" in was:
        metadata["deletionGracePeriodSeconds"] = was["deletionGracePeriodSeconds"]
    metadata.pop("selfLink", None)


def deduplicate_owners(metadata: dict[str, Any]) -> list[str]:
    """Drops owner references that say the same twice; gives the warning about it, if any (handlers/create.go dedupOwnerReferences)."""
    owners = metadata.get("ownerReferences")
    if not isinstance(owners, list) or len(owners) < 2:
        return []
    kept: list[Any] = []
    again: list[str] = []
    for owner in owners:
        if owner in kept:
            again.append(str(owner.get("uid", "")) if isinstance(owner, dict) else "")
        else:
            kept.append(owner)
    if not again:
        return []
    metadata["ownerReferences"] = kept
    shown = ", ".join(dict.fromkeys(again))
    return [
        (
            ".metadata.ownerReferences contains duplicate entries; API server dedups owner references in 1.20+, and may reject such requests"
            f" as early as 1.24; please fix your requests; duplicate UID(s) observed: {shown}"
        )
    ]


def finalizer_warnings(metadata: Mapping[str, Any], old: Mapping[str, Any] | None) -> list[str]:
    """What a custom object is told about new finalizers without a domain."""
    known = {*(old or {}).get("finalizers", ()), ORPHAN, FOREGROUND}
    return [
        f'metadata.finalizers: "{name}": prefer a domain-qualified finalizer name to avoid accidental conflicts with other finalizer writers'
        for name in metadata.get("finalizers") or ()
        if "/" not in name and name not in known
    ]


def tidy(metadata: dict[str, Any]) -> None:
    """Drops what Go would not write: empty maps, lists and texts."""
    for key in [key for key, value in metadata.items() if not value and (value is None or value == {} or value == [] or value == "")]:
        del metadata[key]


def faults(obj: Mapping[str, Any], definition: Definition) -> list[Cause]:
    """What is wrong with an object's metadata."""
    metadata = obj["metadata"]
    resource = definition.resource
    found: list[Cause] = []
    prefix, name = metadata.get("generateName", ""), metadata.get("name", "")
    if prefix:
        found += [
            _invalid("metadata.generateName", prefix, text) for text in name_faults(resource.group, resource.kind, prefix, prefix=True)
        ]
    if not name:
        found.append(Cause("FieldValueRequired", "Required value: name or generateName is required", "metadata.name"))
    else:
        texts = segment_faults(name) or name_faults(resource.group, resource.kind, name)
        found += [_invalid("metadata.name", name, text) for text in texts]
    found += _map_faults(metadata)
    found += _finalizer_faults(metadata.get("finalizers") or [], definition)
    return found


def update_faults(obj: Mapping[str, Any], old: Mapping[str, Any]) -> list[Cause]:
    """What an update may not do to metadata. Twice each: Kubernetes checks once for all kinds and once for the kind, and says so."""
    found = [*_update_faults(obj, old), *_map_faults(obj["metadata"])]
    return [*found, *found]


def _update_faults(obj: Mapping[str, Any], old: Mapping[str, Any]) -> list[Cause]:
    metadata, was = obj["metadata"], old["metadata"]
    found: list[Cause] = []
    if was.get("deletionTimestamp"):
        added = sorted(set(metadata.get("finalizers") or ()) - set(was.get("finalizers") or ()))
        if added:
            shown = "[]string{" + ", ".join(f'"{name}"' for name in added) + "}"
            text = f"Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers {shown}"
            found.append(Cause("FieldValueForbidden", text, "metadata.finalizers"))
    fixed = ("name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds")
    found += [_invalid(f"metadata.{key}", metadata.get(key), "field is immutable") for key in fixed if metadata.get(key) != was.get(key)]
    return found


def _invalid(field: str, value: Any, text: str) -> Cause:
    return Cause("FieldValueInvalid", f"Invalid value: {orjson.dumps(value).decode()}: {text}", field)


def _map_faults(metadata: Mapping[str, Any]) -> list[Cause]:
    """Labels, annotations and owners."""
    found = _label_faults(metadata.get("labels") or {})
    found += _annotation_faults(metadata.get("annotations") or {})
    return found + _owner_faults(metadata.get("ownerReferences") or [])


def _label_faults(labels: Mapping[str, Any]) -> list[Cause]:
    found = []
    for key, value in labels.items():
        found += [_invalid("metadata.labels", key, text) for text in label_key_faults(key)]
        found += [_invalid("metadata.labels", value, text) for text in label_value_faults(value)]
    return found


def _annotation_faults(annotations: Mapping[str, Any]) -> list[Cause]:
    found = []
    for key in annotations:
        # Keys are compared in lower case: annotations may be written in any.
        found += [_invalid("metadata.annotations", key, text) for text in label_key_faults(key.lower())]
    size = sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())
    if size > _ANNOTATION_BYTES:
        found.append(Cause("FieldValueTooLong", f"Too long: may not be more than {_ANNOTATION_BYTES} bytes", "metadata.annotations"))
    return found


def _owner_faults(owners: list[Mapping[str, Any]]) -> list[Cause]:
    found = []
    controller = ""
    at = "metadata.ownerReferences"
    for owner in owners:
        group, _, version = str(owner.get("apiVersion", "")).rpartition("/")
        if not version:
            found.append(_invalid(f"{at}.apiVersion", owner.get("apiVersion", ""), "version must not be empty"))
        found += [_invalid(f"{at}.{key}", "", "must not be empty") for key in ("kind", "name", "uid") if not owner.get(key)]
        if (group, version, owner.get("kind")) == ("", "v1", "Event"):
            found.append(_invalid(at, owner, "/v1, Kind=Event is disallowed from being an owner"))
        if owner.get("controller"):
            this = f"{owner.get('kind')}/{owner.get('name')}"
            if controller:
                text = f'Only one reference can have Controller set to true. Found "true" in references for {controller} and {this}'
                found.append(_invalid(at, owners, text))
            else:
                controller = this
    return found


def _finalizer_faults(finalizers: list[str], definition: Definition) -> list[Cause]:
    found = []
    for index, name in enumerate(finalizers):
        found += [_invalid("metadata.finalizers", name, text) for text in label_key_faults(name)]
        if "/" not in name and not definition.custom and definition.resource.group in _CORE_GROUPS and name not in _STANDARD_FINALIZERS:
            found.append(
                _invalid(f"metadata.finalizers[{index}]", name, "name is neither a standard finalizer name nor is it fully qualified")
            )
    if ORPHAN in finalizers and FOREGROUND in finalizers:
        found.append(_invalid("metadata.finalizers", finalizers, f"finalizer {ORPHAN} and {FOREGROUND} cannot be both set"))
    return found

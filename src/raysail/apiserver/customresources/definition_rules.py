"""What a CustomResourceDefinition must and must not say.

Rules and texts: apiextensions pkg/apis/apiextensions/validation/validation.go. Fields that all versions share are reported as upstream does after its
internal conversion: under `spec.validation`, `spec.subresources`, `spec.additionalPrinterColumns`, `spec.selectableFields`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from raysail.api import causes
from raysail.api.errors import Cause
from raysail.apiserver.customresources.rule_compilation import rule_causes
from raysail.apiserver.customresources.schema_defaults import default_causes
from raysail.apiserver.customresources.schema_rules import openapi_causes
from raysail.apiserver.customresources.structure import structural_causes
from raysail.apiserver.schema.field_path import FieldPathError, resolve_field_path

Mapped = Mapping[str, Any]

_DNS_1035: Final = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?", re.ASCII)
_DNS_1035_TEXT: Final = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric "
    "character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')"
)
_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", re.ASCII)
_SUBDOMAIN_TEXT: Final = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_COLUMN_TYPES: Final = ("boolean", "date", "integer", "number", "string")
_COLUMN_FORMATS: Final = ("byte", "date", "date-time", "double", "float", "int32", "int64", "password")
_ROOT_KEYWORDS: Final = [
    "Description",
    "Type",
    "Format",
    "Title",
    "Maximum",
    "ExclusiveMaximum",
    "Minimum",
    "ExclusiveMinimum",
    "MaxLength",
    "MinLength",
    "Pattern",
    "MaxItems",
    "MinItems",
    "UniqueItems",
    "MultipleOf",
    "Required",
    "Items",
    "Properties",
    "ExternalDocs",
    "Example",
    "XPreserveUnknownFields",
    "XValidations",
]
_ROOT_FIELDS: Final = frozenset(
    [
        "description",
        "type",
        "format",
        "title",
        "maximum",
        "exclusiveMaximum",
        "minimum",
        "exclusiveMinimum",
        "maxLength",
        "minLength",
        "pattern",
        "maxItems",
        "minItems",
        "uniqueItems",
        "multipleOf",
        "required",
        "items",
        "properties",
        "externalDocs",
        "example",
        "nullable",
        "x-kubernetes-preserve-unknown-fields",
        "x-kubernetes-validations",
    ]
)
_HTTPS: Final = 443
_LAST_PORT: Final = 65535
_MOST_SELECTABLE_FIELDS: Final = 8
_APPROVED: Final = "api-approved.kubernetes.io"


def definition_causes(crd: Mapped) -> list[Cause]:
    """The faults of a new CRD, its metadata's common rules aside."""
    spec = crd["spec"]
    found: list[Cause] = []
    names = spec.get("names") or {}
    wanted = f"{names.get('plural', '')}.{spec.get('group', '')}"
    name = crd["metadata"].get("name", "")
    if name != wanted:
        found.append(causes.invalid("metadata.name", name, 'must be spec.names.plural+"."+spec.group'))
    found += _spec(spec)
    found += _names((crd.get("status") or {}).get("acceptedNames") or {}, "status.acceptedNames")
    found += _stored_versions(crd)
    found += _approval(crd, None)
    return found + _preserve(spec, None)


def definition_update_causes(crd: Mapped, old: Mapped, *, established: bool) -> list[Cause]:
    """The faults of a changed CRD. Scope and kind are fixed once it is established; group and plural always."""
    spec, before = crd["spec"], old["spec"]
    found = list(_spec(spec, before))
    if found:
        # What was accepted before, by an older server, does not stand in the way of other changes.
        known = {(cause.reason, cause.field) for cause in _spec(before)}
        found = [cause for cause in found if (cause.reason, cause.field) not in known]
    fixed = [(("group",), "group"), (("names", "plural"), "names.plural")]
    if established:
        fixed = [(("scope",), "scope"), (("names", "kind"), "names.kind"), *fixed]
    for keys, field in fixed:
        value, was = _at(spec, keys), _at(before, keys)
        if value != was:
            found.append(causes.invalid(f"spec.{field}", value, "field is immutable"))
    found += _names((crd.get("status") or {}).get("acceptedNames") or {}, "status.acceptedNames")
    found += _stored_versions(crd)
    found += _approval(crd, old)
    return found + _preserve(spec, before)


def _at(value: Any, keys: tuple[str, ...]) -> Any:
    for key in keys:
        value = (value or {}).get(key)
    return value or ""


def dns_1035_fault(name: str) -> str:
    """What is wrong with a DNS-1035 label; empty when nothing is."""
    faults = [] if len(name) <= 63 else ["must be no more than 63 characters"]
    faults += [] if _DNS_1035.fullmatch(name) else [_DNS_1035_TEXT]
    return ",".join(faults)


def _spec(spec: Mapped, old: Mapped | None = None) -> Iterator[Cause]:
    group, scope = spec.get("group", ""), spec.get("scope", "")
    if not group:
        yield causes.required("spec.group")
    elif not _SUBDOMAIN.fullmatch(group) or len(group) > 253:
        yield causes.invalid("spec.group", group, _SUBDOMAIN_TEXT)
    elif "." not in group:
        yield causes.invalid("spec.group", group, "should be a domain with at least one dot")
    if not scope:
        yield causes.required("spec.scope")
    elif scope not in ("Cluster", "Namespaced"):
        yield causes.not_supported("spec.scope", scope, ["Cluster", "Namespaced"])
    yield from _versions(spec, old)
    names = spec.get("names") or {}
    for field in ("plural", "singular", "kind", "listKind"):
        if not names.get(field):
            yield causes.required(f"spec.names.{field}")
    yield from _names(names, "spec.names")
    yield from _conversion(spec.get("conversion"))


def _versions(spec: Mapped, old: Mapped | None) -> Iterator[Cause]:
    versions = list(spec.get("versions") or ())
    shared = {
        field: bool(versions) and all(v.get(field) and v[field] == versions[0].get(field) for v in versions)
        for field in ("schema", "subresources", "additionalPrinterColumns", "selectableFields")
    }
    places = {"schema": "validation"}
    for index, version in enumerate(versions):
        if (version.get("schema") or {}).get("openAPIV3Schema") is None:
            yield causes.required(f"spec.versions[{index}].schema.openAPIV3Schema")
    for index, version in enumerate(versions):
        path = f"spec.versions[{index}]"
        if fault := dns_1035_fault(version.get("name", "")):
            yield causes.invalid(f"{path}.name", version.get("name", ""), fault)
        for text in _deprecation_faults(version):
            yield causes.invalid(f"{path}.deprecationWarning", version.get("deprecationWarning"), text)
        for field, checks in _PARTS.items():
            if version.get(field) and not shared[field]:
                yield from checks(version, f"{path}.{field}", old)
    if versions:
        for field, checks in _PARTS.items():
            if shared[field]:
                yield from checks(versions[0], f"spec.{places.get(field, field)}", old)
    shown = [_internal(version) for version in versions]
    if len({v.get("name") for v in versions}) != len(versions):
        yield causes.invalid("spec.versions", shown, "must contain unique version names")
    if sum(bool(v.get("storage")) for v in versions) != 1:
        yield causes.invalid("spec.versions", shown, "must have exactly one version marked as storage version")


def _internal(version: Mapped) -> dict[str, Any]:
    """A version as upstream's internal type prints it, its larger parts left out."""
    return {
        "Name": version.get("name", ""),
        "Served": bool(version.get("served")),
        "Storage": bool(version.get("storage")),
        "Deprecated": bool(version.get("deprecated")),
        "DeprecationWarning": version.get("deprecationWarning"),
        "Schema": None,
        "Subresources": None,
        "AdditionalPrinterColumns": None,
        "SelectableFields": None,
    }


def _deprecation_faults(version: Mapped) -> list[str]:
    warning = version.get("deprecationWarning")
    if warning is None:
        return []
    if not version.get("deprecated"):
        return ["can only be set for deprecated versions"]
    faults = [] if len(warning.encode()) <= 256 else ["must be <= 256 characters long"]
    faults += [] if warning else ["must not be an empty string"]
    wrong = next((i for i, c in enumerate(warning) if not c.isprintable()), None)
    if wrong is not None:
        faults.append(f"must only contain printable UTF-8 characters; non-printable character found at index {wrong}")
    return faults


def _schema(version: Mapped, path: str, old: Mapped | None) -> Iterator[Cause]:
    schema = version["schema"].get("openAPIV3Schema")
    if schema is None:
        return
    path = f"{path}.openAPIV3Schema"
    found: list[Cause] = []
    if "status" in (version.get("subresources") or {}):
        found += _root_causes(schema, path)
    if schema.get("nullable"):
        found.append(causes.forbidden(f"{path}.nullable", "nullable cannot be true at the root"))
    structural = structural_causes(schema, path) or default_causes(schema, path)
    others = openapi_causes(schema, path)
    yield from [*found, *structural, *others]
    known = next((v.get("schema") for v in (old or {}).get("versions") or () if v.get("name") == version.get("name")), None)
    if not structural and known != version["schema"]:
        yield from rule_causes(schema, path, faulty=[cause.field for cause in others])


def _root_causes(schema: Mapped, path: str) -> list[Cause]:
    """With a status subresource the status is judged alone, so nothing at the root may depend on it."""
    if schema.get("type") and schema["type"] != "object":
        detail = 'only "object" is allowed as the type at the root of the schema if the status subresource is enabled'
        return [causes.invalid(f"{path}.type", schema["type"], detail)]
    if any(value and key not in _ROOT_FIELDS for key, value in schema.items()):
        detail = f"only [{' '.join(_ROOT_KEYWORDS)}] fields are allowed at the root of the schema if the status subresource is enabled"
        return [causes.invalid(path, dict(schema), detail)]
    return []


def _subresources(version: Mapped, path: str, _: Mapped | None) -> Iterator[Cause]:
    scale = version["subresources"].get("scale")
    if scale is None:
        return
    for field, roots, words in (
        ("specReplicasPath", (".spec.",), "should be a json path under .spec"),
        ("statusReplicasPath", (".status.",), "should be a json path under .status"),
        ("labelSelectorPath", (".spec.", ".status."), "should be a json path under either .spec or .status"),
    ):
        value = scale.get(field) or ""
        place = f"{path}.scale.{field}"
        if not value:
            if field != "labelSelectorPath":
                yield causes.required(place)
        elif value[0] != ".":
            yield causes.invalid(place, value, "must be a simple json path starting with .")
        elif not value.startswith(roots):
            yield causes.invalid(place, value, words)


def _columns(version: Mapped, path: str, _: Mapped | None) -> Iterator[Cause]:
    one_of = f"must be one of {','.join(_COLUMN_TYPES)}"
    for index, column in enumerate(version["additionalPrinterColumns"]):
        place = f"{path}[{index}]"
        if not column.get("name"):
            yield causes.required(f"{place}.name")
        kind, text_format, json_path = column.get("type", ""), column.get("format", ""), column.get("jsonPath", "")
        if not kind:
            yield causes.required(f"{place}.type", one_of)
        elif kind not in _COLUMN_TYPES:
            yield causes.invalid(f"{place}.type", kind, one_of)
        if text_format and text_format not in _COLUMN_FORMATS:
            yield causes.invalid(f"{place}.format", text_format, f"must be one of {','.join(_COLUMN_FORMATS)}")
        if not json_path:
            yield causes.required(f"{place}.JSONPath")
        elif json_path[0] != ".":
            yield causes.invalid(f"{place}.JSONPath", json_path, "must be a simple json path starting with .")


def _selectable(version: Mapped, path: str, old: Mapped | None) -> Iterator[Cause]:
    schema = (version.get("schema") or {}).get("openAPIV3Schema") or {}
    seen: set[str] = set()
    for index, selectable in enumerate(version["selectableFields"]):
        place, text = f"{path}[{index}].jsonPath", selectable.get("jsonPath", "")
        if not text:
            yield causes.required(place)
            continue
        try:
            field, found = resolve_field_path(text, schema, brackets=False)
        except FieldPathError as error:
            yield causes.invalid(place, text, f"is an invalid path: {error}")
            continue
        if field.split(".")[0] == "metadata":
            yield causes.invalid(place, text, "must not point to fields in metadata")
        if found.get("type") not in ("string", "boolean", "integer"):
            detail = "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed."
            yield causes.invalid(place, text, detail)
        if field in seen:
            yield causes.duplicate(place, text)
        seen.add(field)
    if len(seen) > _MOST_SELECTABLE_FIELDS:
        yield causes.too_many(path, len(seen), _MOST_SELECTABLE_FIELDS)


_PARTS: Final = {"schema": _schema, "subresources": _subresources, "additionalPrinterColumns": _columns, "selectableFields": _selectable}


def _names(names: Mapped, path: str) -> Iterator[Cause]:
    for field in ("plural", "singular", "kind", "listKind"):
        value = names.get(field) or ""
        mixed = field in ("kind", "listKind")
        fault = dns_1035_fault(value.lower() if mixed else value) if value else ""
        if fault:
            yield causes.invalid(f"{path}.{field}", value, f"may have mixed case, but should otherwise match: {fault}" if mixed else fault)
    for field in ("shortNames", "categories"):
        for index, value in enumerate(names.get(field) or ()):
            if fault := dns_1035_fault(value):
                yield causes.invalid(f"{path}.{field}[{index}]", value, fault)
    if names.get("kind") and names["kind"] == names.get("listKind"):
        yield causes.invalid(f"{path}.listKind", names["listKind"], "kind and listKind may not be the same")


def _conversion(conversion: Mapped | None) -> Iterator[Cause]:
    if conversion is None:
        return
    strategy, webhook = conversion.get("strategy", ""), conversion.get("webhook")
    path = "spec.conversion"
    if not strategy:
        yield causes.required(f"{path}.strategy")
    elif strategy not in ("None", "Webhook"):
        yield causes.not_supported(f"{path}.strategy", strategy, ["None", "Webhook"])
    client = (webhook or {}).get("clientConfig")
    reviews = (webhook or {}).get("conversionReviewVersions") or []
    if strategy != "Webhook":
        detail = "should not be set when strategy is not set to Webhook"
        if client is not None:
            yield causes.forbidden(f"{path}.webhookClientConfig", detail)
        if reviews:
            yield causes.forbidden(f"{path}.conversionReviewVersions", detail)
        return
    if client is None:
        yield causes.required(f"{path}.webhookClientConfig", "required when strategy is set to Webhook")
    elif ("url" in client) == ("service" in client):
        yield causes.required(f"{path}.webhookClientConfig", "exactly one of url or service is required")
    elif "url" in client and urlsplit(client["url"]).scheme != "https":
        detail = f"'{urlsplit(client['url']).scheme}' is an unsupported scheme; must be 'https'"
        yield causes.invalid(f"{path}.webhookClientConfig.url", client["url"], detail)
    elif "service" in client:
        for field in ("name", "namespace"):
            if not client["service"].get(field):
                yield causes.required(f"{path}.webhookClientConfig.service.{field}")
        port = client["service"].get("port", _HTTPS)
        if not 1 <= port <= _LAST_PORT:
            detail = f"port is not valid: must be between 1 and {_LAST_PORT}, inclusive"
            yield causes.invalid(f"{path}.webhookClientConfig.service.port", port, detail)
    if not reviews:
        yield causes.required(f"{path}.conversionReviewVersions")
    for index, review in enumerate(reviews):
        if review in reviews[:index]:
            yield causes.invalid(f"{path}.conversionReviewVersions[{index}]", review, "duplicate version")
        elif fault := dns_1035_fault(review):
            yield causes.invalid(f"{path}.conversionReviewVersions[{index}]", review, fault)
    if reviews and not {"v1", "v1beta1"} & set(reviews):
        yield causes.invalid(f"{path}.conversionReviewVersions", reviews, "must include at least one of v1, v1beta1")


def _stored_versions(crd: Mapped) -> Iterator[Cause]:
    stored = list((crd.get("status") or {}).get("storedVersions") or ())
    path = "status.storedVersions"
    if not stored:
        yield causes.invalid(path, stored, "must have at least one stored version")
        return
    versions = crd["spec"].get("versions") or ()
    for version in versions:
        if version.get("storage") and version.get("name") not in stored:
            yield causes.invalid(path, stored, f"must have the storage version {version.get('name')}")
    names = {version.get("name") for version in versions}
    for index, name in enumerate(stored):
        if name not in names:
            detail = (
                f"missing from spec.versions; {name} was previously a storage version, and must remain in spec.versions until a storage migration "
                f"ensures no data remains persisted in {name} and removes {name} from status.storedVersions"
            )
            yield causes.invalid(f"{path}[{index}]", name, detail)


def _approval(crd: Mapped, old: Mapped | None) -> Iterator[Cause]:
    """Groups of the Kubernetes community ask for a pointer to the review."""
    group = crd["spec"].get("group", "")
    if not (group in ("k8s.io", "kubernetes.io") or group.endswith((".k8s.io", ".kubernetes.io"))):
        return
    state, detail = _approval_state(crd)
    if state in ("approved", "bypassed") or (old is not None and _approval_state(old)[0] == state):
        return
    field = f"metadata.annotations[{_APPROVED}]"
    value = (crd["metadata"].get("annotations") or {}).get(_APPROVED, "")
    yield causes.required(field, detail) if state == "missing" else causes.invalid(field, value, detail)


def _approval_state(crd: Mapped) -> tuple[str, str]:
    value = (crd["metadata"].get("annotations") or {}).get(_APPROVED, "")
    see = "see https://github.com/kubernetes/enhancements/pull/1111"
    if not value:
        return "missing", f'protected groups must have approval annotation "{_APPROVED}", {see}'
    if value.startswith("unapproved"):
        return "bypassed", ""
    parts = urlsplit(value)
    if parts.scheme and parts.netloc:
        return "approved", ""
    return (
        "invalid",
        f'protected groups must have approval annotation "{_APPROVED}" with either a URL or a reason starting with "unapproved", {see}',
    )


def _preserve(spec: Mapped, old: Mapped | None) -> list[Cause]:
    if not spec.get("preserveUnknownFields") or (old or {}).get("preserveUnknownFields"):
        return []
    detail = "cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead"
    return [causes.invalid("spec.preserveUnknownFields", True, detail)]

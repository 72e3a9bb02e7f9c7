"""The virtual resources that answer questions about access: nothing of them is stored.

SelfSubjectReview, TokenReview, TokenRequest (authentication.k8s.io), SelfSubjectAccessReview, SubjectAccessReview, LocalSubjectAccessReview,
SelfSubjectRulesReview (authorization.k8s.io). Each function takes the posted object and gives the answer; all answers are HTTP 201.
Sources: k8s.io/kubernetes pkg/registry/{authentication,authorization}, pkg/registry/core/serviceaccount/storage/token.go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from raysail.api.errors import Cause, StatusError, bad_request, invalid
from raysail.api.meta import format_time
from raysail.apiserver.access.authentication import Authenticator
from raysail.apiserver.access.authorization import Attributes, Authorizer
from raysail.apiserver.access.service_account_tokens import (
    DEFAULT_SECONDS,
    ISSUER,
    MAXIMUM_SECONDS,
    MINIMUM_SECONDS,
    BoundObject,
    ServiceAccountTokens,
)
from raysail.apiserver.access.users import User

JsonObject = dict[str, Any]

_AUTHENTICATION = "authentication.k8s.io"
_AUTHORIZATION = "authorization.k8s.io"


def self_subject_review(user: User, now: datetime) -> JsonObject:
    """Who am I."""
    return {
        "kind": "SelfSubjectReview",
        "apiVersion": f"{_AUTHENTICATION}/v1",
        "metadata": {"creationTimestamp": format_time(now)},
        "status": {"userInfo": user.to_user_info()},
    }


def token_review(review: JsonObject, authenticator: Authenticator) -> JsonObject:
    """Is this token good, and whose is it. Raises StatusError 400 without a token."""
    spec = review.get("spec") or {}
    token, audiences = spec.get("token", ""), list(spec.get("audiences") or ())
    if not token:
        raise bad_request("token is required for TokenReview in authentication")
    status: JsonObject = {"user": {}, "error": "[invalid bearer token, token lookup failed]"}
    for audience in audiences or [None]:
        user = authenticator.user_of_token(token, audience)
        if user is not None:
            status = {"authenticated": True, "user": user.to_user_info(), "audiences": [audience or ISSUER]}
            break
    return _answer("TokenReview", _AUTHENTICATION, review, status)


def token_request(
    request: JsonObject,
    account: Mapping[str, Any],
    tokens: ServiceAccountTokens,
    uid_of: Callable[[str, str, str], str | None],
    now: datetime,
) -> JsonObject:
    """A new token for a service account. Raises StatusError 422 for a duration out of range, 409 for a bound object that is another, 404 when absent."""
    spec = dict(request.get("spec") or {})
    wanted = spec.get("expirationSeconds")
    seconds = DEFAULT_SECONDS if wanted is None else int(wanted)
    if seconds < MINIMUM_SECONDS:
        raise _token_request_invalid(seconds, "may not specify a duration less than 10 minutes")
    if seconds > MAXIMUM_SECONDS:
        raise _token_request_invalid(seconds, "may not specify a duration larger than 2^32 seconds")
    namespace, name, uid = account["metadata"]["namespace"], account["metadata"]["name"], account["metadata"]["uid"]
    bound = None
    if reference := spec.get("boundObjectRef"):
        bound = _bound_object(reference, namespace, uid_of)
    spec["audiences"] = list(spec.get("audiences") or ()) or [ISSUER]
    spec["expirationSeconds"] = seconds
    token = tokens.issue(namespace, name, uid, spec["audiences"], seconds, now, bound)
    return {
        "kind": "TokenRequest",
        "apiVersion": f"{_AUTHENTICATION}/v1",
        "metadata": {"name": name, "namespace": namespace, "creationTimestamp": format_time(now)},
        "spec": spec,
        "status": {"token": token, "expirationTimestamp": format_time(now + timedelta(seconds=seconds))},
    }


def self_subject_access_review(review: JsonObject, user: User, authorizer: Authorizer) -> JsonObject:
    """May I."""
    spec = review.get("spec") or {}
    attributes = _attributes(spec, review.get("kind") or "")
    return _answer("SelfSubjectAccessReview", _AUTHORIZATION, review, {"allowed": authorizer.allowed(user, attributes)})


def subject_access_review(review: JsonObject, authorizer: Authorizer, namespace: str = "") -> JsonObject:
    """May they; with a namespace the local form. Raises StatusError 422 when nobody is named."""
    kind = "LocalSubjectAccessReview" if namespace else "SubjectAccessReview"
    spec = review.get("spec") or {}
    attributes = _attributes(spec, review.get("kind") or "")
    if not spec.get("user") and not spec.get("groups"):
        raise _review_invalid(review.get("kind") or "", "spec.user", '""', "at least one of user or group must be specified")
    if namespace and attributes.namespace != namespace:
        text = f"must match metadata.namespace: {attributes.namespace}"
        raise _review_invalid(kind, "spec.resourceAttributes.namespace", f'"{attributes.namespace}"', text)
    extra = {key: tuple(values) for key, values in (spec.get("extra") or {}).items()}
    user = User(spec.get("user", ""), tuple(spec.get("groups") or ()), spec.get("uid", ""), extra)
    return _answer(kind, _AUTHORIZATION, review, {"allowed": authorizer.allowed(user, attributes)})


def self_subject_rules_review(review: JsonObject, user: User, authorizer: Authorizer) -> JsonObject:
    """What may I in this namespace (kubectl auth can-i --list). Raises StatusError 400 without a namespace."""
    namespace = (review.get("spec") or {}).get("namespace", "")
    if not namespace:
        raise bad_request("no namespace on request")
    rules: list[Mapping[str, Any]] = list(authorizer.rules_for(user, namespace))
    if user.is_master:
        rules.append({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]})
        rules.append({"verbs": ["*"], "nonResourceURLs": ["*"]})
    status = {
        "resourceRules": _distinct(rules, "resources", ("verbs", "apiGroups", "resources", "resourceNames")),
        "nonResourceRules": _distinct(rules, "nonResourceURLs", ("verbs", "nonResourceURLs")),
        "incomplete": False,
    }
    return _answer("SelfSubjectRulesReview", _AUTHORIZATION, review, status)


def _answer(kind: str, group: str, review: JsonObject, status: JsonObject) -> JsonObject:
    metadata = {key: value for key, value in (review.get("metadata") or {}).items() if key in ("managedFields", "namespace", "name")}
    return {"kind": kind, "apiVersion": f"{group}/v1", "metadata": metadata, "spec": review.get("spec") or {}, "status": status}


def _attributes(spec: Mapping[str, Any], kind: str) -> Attributes:
    resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if resource is not None and path is not None:
        raise _review_invalid(kind, "spec.nonResourceAttributes", "{}", "cannot be specified in combination with resourceAttributes")
    if path is not None:
        return Attributes(path.get("verb", ""), path=path.get("path", ""))
    if resource is None:
        raise _review_invalid(
            kind, "spec.resourceAttributes", "null", "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        )
    return Attributes(
        resource.get("verb", ""),
        resource.get("group", ""),
        resource.get("resource", ""),
        resource.get("subresource", ""),
        resource.get("namespace", ""),
        resource.get("name", ""),
    )


def _bound_object(reference: Mapping[str, Any], namespace: str, uid_of: Callable[[str, str, str], str | None]) -> BoundObject:
    kind, name, uid = reference.get("kind", ""), reference.get("name", ""), reference.get("uid", "")
    if kind not in ("Pod", "Secret"):
        raise bad_request(f'cannot bind token for serviceaccount to an object of kind "{kind}": only Pod and Secret are possible')
    plural = kind.lower() + "s"
    present = uid_of(plural, namespace, name)
    if present is None:
        raise StatusError("NotFound", f'{plural} "{name}" not found', details={"name": name, "kind": plural})
    if uid and uid != present:
        text = f"the UID in the bound object reference ({uid}) does not match the UID in record. The object might have been deleted and then recreated"
        raise StatusError("Conflict", f'Operation cannot be fulfilled on {plural} "{name}": {text}', details={"name": name, "kind": plural})
    return BoundObject(kind, name, present)


def _distinct(rules: Sequence[Mapping[str, Any]], needed: str, fields: Sequence[str]) -> list[JsonObject]:
    found: list[JsonObject] = []
    for rule in rules:
        if rule.get(needed):
            kept = {field: list(rule[field]) for field in fields if rule.get(field)}
            if kept not in found:
                found.append(kept)
    return found


def _review_invalid(kind: str, field: str, value: str, text: str) -> StatusError:
    return invalid(_AUTHORIZATION, kind, "", [Cause("FieldValueInvalid", f"Invalid value: {value}: {text}", field)])


def _token_request_invalid(seconds: int, text: str) -> StatusError:
    return invalid(
        _AUTHENTICATION, "TokenRequest", "", [Cause("FieldValueInvalid", f"Invalid value: {seconds}: {text}", "spec.expirationSeconds")]
    )

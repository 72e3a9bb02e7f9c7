"""From a request's headers to a User: static bearer tokens, service-account tokens, client certificates, anonymity, impersonation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Final
from urllib.parse import unquote

from raysail.api.errors import StatusError
from raysail.apiserver.access.authorization import Attributes, Authorizer, forbidden
from raysail.apiserver.access.service_account_tokens import ServiceAccountTokens
from raysail.apiserver.access.users import (
    ANONYMOUS,
    ANONYMOUS_NAME,
    AUTHENTICATED,
    UNAUTHENTICATED,
    User,
    service_account_groups,
    split_service_account,
)

_CACHE_SECONDS: Final = 10.0
_CACHE_SIZE: Final = 4096
_EXTRA: Final = "impersonate-extra-"
Headers = Iterable[tuple[bytes, bytes]]
"""As ASGI gives them: lower-case names."""


class Authenticator:
    """Knows tokens. Good service-account tokens are remembered for ten seconds, so that a deleted account loses access at once for people's purposes."""

    def __init__(self, static_tokens: Mapping[str, User], tokens: ServiceAccountTokens, now: Callable[[], datetime]) -> None:
        self._static = dict(static_tokens)
        self._static_headers = {f"Bearer {token}": user for token, user in static_tokens.items()}
        self._tokens = tokens
        self._now = now
        self._cache: dict[str, tuple[User, float]] = {}

    def authenticate(self, authorization: str | None, certificate_user: User | None = None) -> User:
        """Who asks. Raises StatusError 401 for a bearer token that is not known; no credentials at all make the anonymous user."""
        if certificate_user is not None and certificate_user.name:
            return certificate_user
        if authorization is None:
            return ANONYMOUS
        if (known := self._static_headers.get(authorization)) is not None:
            return known
        scheme, _, token = authorization.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            return ANONYMOUS
        user = self.user_of_token(token)
        if user is None:
            raise StatusError("Unauthorized", "Unauthorized")
        return user

    def user_of_token(self, token: str, audience: str | None = None) -> User | None:
        """Whom a token stands for, or None."""
        if (user := self._static.get(token)) is not None:
            return user
        now = self._now()
        if audience is None and (cached := self._cache.get(token)) is not None and now.timestamp() < cached[1]:
            return cached[0]
        found = self._tokens.authenticate(token, now, audience) if audience else self._tokens.authenticate(token, now)
        if found is None:
            self._cache.pop(token, None)
            return None
        user, expires = found
        if audience is None:
            if len(self._cache) >= _CACHE_SIZE:
                self._cache.clear()
            self._cache[token] = (user, min(expires, now.timestamp() + _CACHE_SECONDS))
        return user


def wanted_impersonation(headers: Headers) -> User | None:
    """The user that Impersonate-* headers ask for, as they say it; None without such headers. Raises StatusError 400 for groups without a user."""
    name, uid, groups, extra = "", "", list[str](), dict[str, tuple[str, ...]]()
    seen = False
    for raw_key, raw_value in headers:
        if not raw_key.startswith(b"impersonate-"):
            continue
        seen = True
        key, value = raw_key.decode("latin-1"), raw_value.decode("utf-8", "replace")
        if key == "impersonate-user":
            name = value
        elif key == "impersonate-uid":
            uid = value
        elif key == "impersonate-group":
            groups.append(value)
        elif key.startswith(_EXTRA):
            field = unquote(key.removeprefix(_EXTRA)).lower()
            extra[field] = (*extra.get(field, ()), value)
    if not seen:
        return None
    if not name:
        raise StatusError("BadRequest", "requested to impersonate groups, a uid or extra fields without impersonating a user name")
    return User(name, tuple(groups), uid, extra)


def impersonate(requestor: User, wanted: User, request: Attributes, authorizer: Authorizer) -> User:
    """The user to act as. Raises StatusError 403 where `requestor` may not.

    k8s.io/apiserver pkg/endpoints/filters/impersonation: constrained modes first, the classic `impersonate` verb last; the first
    refusal of a mode that applies is the one that is told.
    """
    effective = _effective(wanted)
    if requestor.is_master:
        return effective
    account = split_service_account(wanted.name)
    only_name = not (wanted.groups or wanted.uid or wanted.extra)
    first_refusal: Attributes | None = None
    mode = ("serviceaccount" if only_name else "") if account else "user-info"
    if mode:
        on = request.with_verb(f"impersonate-on:{mode}:{request.verb}")
        refused = (
            _refused(requestor, wanted, account, authorizer, f"impersonate:{mode}", "authentication.k8s.io")
            if authorizer.allowed(requestor, on)
            else on
        )
        if refused is None:
            return effective
        first_refusal = refused
    refused = _refused(requestor, wanted, account, authorizer, "impersonate", "")
    if refused is None:
        return effective
    raise forbidden(requestor, first_refusal or refused)


def _effective(wanted: User) -> User:
    groups = wanted.groups
    account = split_service_account(wanted.name)
    if account and not groups:
        groups = service_account_groups(account[0])
    if wanted.name == ANONYMOUS_NAME:
        groups = groups if UNAUTHENTICATED in groups else (*groups, UNAUTHENTICATED)
    elif AUTHENTICATED not in groups and UNAUTHENTICATED not in groups:
        groups = (*groups, AUTHENTICATED)
    return User(wanted.name, groups, wanted.uid, wanted.extra)


def _refused(
    requestor: User, wanted: User, account: tuple[str, str] | None, authorizer: Authorizer, verb: str, group: str
) -> Attributes | None:
    """The first of the checks for each impersonated value that fails."""
    checks = []
    if account:
        checks.append(Attributes(verb, group, "serviceaccounts", name=account[1], namespace=account[0]))
    else:
        checks.append(Attributes(verb, group, "users", name=wanted.name))
    if wanted.uid:
        checks.append(Attributes(verb, "authentication.k8s.io", "uids", name=wanted.uid))
    checks += [Attributes(verb, group, "groups", name=name) for name in wanted.groups]
    checks += [
        Attributes(verb, "authentication.k8s.io", "userextras", subresource=key, name=value)
        for key, values in wanted.extra.items()
        for value in values
    ]
    return next((check for check in checks if not authorizer.allowed(requestor, check)), None)

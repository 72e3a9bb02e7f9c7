"""The API's door: `apiserver.access` applied to connections, kept current by the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from functools import lru_cache
from typing import Final

from raysail.apiserver.access.authentication import Authenticator, impersonate, wanted_impersonation
from raysail.apiserver.access.authorization import Attributes, Authorizer, forbidden
from raysail.apiserver.access.service_account_tokens import ServiceAccountTokens
from raysail.apiserver.access.users import AUTHENTICATED, LOCAL_ADMIN, MASTERS, User
from raysail.apiserver.rest.call import Scope
from raysail.apiserver.store import Change, Store

_RBAC: Final = ("roles", "rolebindings", "clusterroles", "clusterrolebindings")
_GROUP: Final = "rbac.authorization.k8s.io"
TRUSTED: Final = "raysail.trusted"
CERTIFICATE: Final = "raysail.certificate"
"""Keys of a connection's `state`: it came over the Unix socket; its verified client certificate (DER)."""


class StoreGate:
    """Authenticates and authorises against what the store holds. `admin_tokens` belong to system:masters."""

    def __init__(self, store: Store, admin_tokens: Iterable[str], signing_key_pem: bytes, now: Callable[[], datetime]) -> None:
        self._store = store
        self.authorizer = Authorizer()
        self.tokens = ServiceAccountTokens(signing_key_pem, self.uid_of)
        static = {token: User("admin", (MASTERS, AUTHENTICATED)) for token in admin_tokens}
        self.authenticator = Authenticator(static, self.tokens, now)
        for plural in _RBAC:
            collection = f"{plural}.{_GROUP}"
            for record in store.collection(collection).scan():
                self.authorizer.set_object(plural, record.object())
            store.on_commit(collection, self._follow)

    def uid_of(self, plural: str, namespace: str, name: str) -> str | None:
        """The uid of that object now."""
        record = self._store.collection(plural).records.get(f"{namespace}/{name}" if namespace else name)
        return record.meta.uid if record else None

    def _follow(self, change: Change) -> None:
        plural = change.collection.partition(".")[0]
        namespace, slash, name = change.key.rpartition("/")
        if change.new is None:
            self.authorizer.remove_object(plural, namespace if slash else "", name)
        else:
            self.authorizer.set_object(plural, change.new.object())

    def identify(self, scope: Scope) -> User:
        """Who the connection's request comes from. Raises StatusError (401)."""
        authorization = None
        for key, value in scope["headers"]:
            if key == b"authorization":
                authorization = value.decode("latin-1")
                break
        state = scope.get("state") or {}
        if authorization is None and state.get(TRUSTED):
            return LOCAL_ADMIN
        certificate = state.get(CERTIFICATE)
        return self.authenticator.authenticate(authorization, _user_of(certificate) if certificate else None)

    def authorize(self, user: User, attributes: Attributes, scope: Scope) -> User:
        """The user to act as: the one who asks, or whom they impersonate. Raises StatusError (400, 403)."""
        for key, _ in scope["headers"]:
            if key.startswith(b"impersonate-"):
                wanted = wanted_impersonation(scope["headers"])
                if wanted is not None:
                    user = impersonate(user, wanted, attributes, self.authorizer)
                break
        self.require(user, attributes)
        return user

    def require(self, user: User, attributes: Attributes) -> None:
        """Raises StatusError (403) when the user may not."""
        if not user.is_master and not self.authorizer.allowed(user, attributes):
            raise forbidden(user, attributes)


@lru_cache(maxsize=256)
def _user_of(certificate: bytes) -> User:
    from raysail.apiserver.access.certificates import user_of_certificate  # with the first client that shows one

    return user_of_certificate(certificate)

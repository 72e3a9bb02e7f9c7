"""Service-account tokens: JSON Web Tokens bound to an account, and to a Pod where asked for (TokenRequest).

Claims as in k8s.io/kubernetes pkg/serviceaccount/claims.go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any, Final

from raysail.apiserver.access.users import User, service_account_user

ISSUER: Final = "https://kubernetes.default.svc.cluster.local"
_ALGORITHM: Final = "ES256"
MINIMUM_SECONDS: Final = 600
MAXIMUM_SECONDS: Final = 1 << 32
DEFAULT_SECONDS: Final = 3600

UidOf = Callable[[str, str, str], str | None]
"""(plural, namespace, name) -> the uid of that object now, None where it is gone."""


@dataclass(frozen=True, slots=True)
class BoundObject:
    """The Pod (or Secret, Node) with whose end a token ends."""

    kind: str
    name: str
    uid: str


class ServiceAccountTokens:
    """Signs tokens and knows them again. `private_key_pem` is a P-256 key; `uid_of` looks up what a token is bound to."""

    def __init__(self, private_key_pem: bytes, uid_of: UidOf) -> None:
        self._private_key_pem = private_key_pem
        self._uid_of = uid_of

    @cached_property
    def _private(self) -> Any:
        import jwt  # with the first token, as in all of this module: loading it costs a tenth of a start

        return jwt.get_algorithm_by_name(_ALGORITHM).prepare_key(self._private_key_pem)

    @cached_property
    def _public(self) -> Any:
        return self._private.public_key()

    def issue(
        self, namespace: str, name: str, uid: str, audiences: Sequence[str], seconds: int, now: datetime, bound: BoundObject | None = None
    ) -> str:
        """A token for the account, valid for that long from `now`."""
        import jwt

        private: dict[str, Any] = {"namespace": namespace, "serviceaccount": {"name": name, "uid": uid}}
        if bound is not None:
            private[bound.kind.lower()] = {"name": bound.name, "uid": bound.uid}
        moment = int(now.timestamp())
        claims = {
            "iss": ISSUER,
            "sub": f"system:serviceaccount:{namespace}:{name}",
            "aud": list(audiences) or [ISSUER],
            "iat": moment,
            "nbf": moment,
            "exp": moment + seconds,
            "kubernetes.io": private,
        }
        return jwt.encode(claims, self._private, algorithm=_ALGORITHM)

    def authenticate(self, token: str, now: datetime, audience: str = ISSUER) -> tuple[User, float] | None:
        """(who, until when as a Unix time), or None where the token is not ours, out of date, or what it is bound to is gone."""
        import jwt

        try:
            claims = jwt.decode(
                token,
                self._public,
                algorithms=[_ALGORITHM],
                issuer=ISSUER,
                audience=audience,
                options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
            )
            private = claims["kubernetes.io"]
            account = private["serviceaccount"]
            namespace, name, uid, expires = private["namespace"], account["name"], account["uid"], float(claims["exp"])
        except (jwt.InvalidTokenError, KeyError, TypeError, ValueError):
            return None
        if now.timestamp() >= expires or self._uid_of("serviceaccounts", namespace, name) != uid:
            return None
        extra: dict[str, tuple[str, ...]] = {}
        if pod := private.get("pod"):
            if self._uid_of("pods", namespace, pod["name"]) != pod["uid"]:
                return None
            extra = {"authentication.kubernetes.io/pod-name": (pod["name"],), "authentication.kubernetes.io/pod-uid": (pod["uid"],)}
        if (secret := private.get("secret")) and self._uid_of("secrets", namespace, secret["name"]) != secret["uid"]:
            return None
        return service_account_user(namespace, name, uid, extra), expires

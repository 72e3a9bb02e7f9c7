"""Who a request comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

MASTERS: Final = "system:masters"
AUTHENTICATED: Final = "system:authenticated"
UNAUTHENTICATED: Final = "system:unauthenticated"
ANONYMOUS_NAME: Final = "system:anonymous"
_SERVICE_ACCOUNT: Final = "system:serviceaccount:"


@dataclass(frozen=True, slots=True)
class User:
    """An authenticated (or anonymous) person or service account."""

    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)

    @property
    def is_master(self) -> bool:
        """Members of system:masters may do everything, whatever RBAC says."""
        return MASTERS in self.groups

    def to_user_info(self) -> dict[str, object]:
        """The wire form (authentication.k8s.io UserInfo)."""
        info: dict[str, object] = {"username": self.name}
        if self.uid:
            info["uid"] = self.uid
        if self.groups:
            info["groups"] = list(self.groups)
        if self.extra:
            info["extra"] = {key: list(values) for key, values in self.extra.items()}
        return info


ANONYMOUS: Final = User(ANONYMOUS_NAME, (UNAUTHENTICATED,))
LOCAL_ADMIN: Final = User("system:admin", (MASTERS, AUTHENTICATED))
"""Who talks over the Unix socket: its folder is only the owner's to enter."""


def service_account_user(namespace: str, name: str, uid: str = "", extra: Mapping[str, tuple[str, ...]] | None = None) -> User:
    """The user that a service account's token stands for."""
    return User(f"{_SERVICE_ACCOUNT}{namespace}:{name}", service_account_groups(namespace), uid, extra or {})


def service_account_groups(namespace: str) -> tuple[str, ...]:
    """The groups of every service account in the namespace."""
    return "system:serviceaccounts", f"system:serviceaccounts:{namespace}", AUTHENTICATED


def split_service_account(username: str) -> tuple[str, str] | None:
    """(namespace, name) where the user name is a service account's."""
    if not username.startswith(_SERVICE_ACCOUNT):
        return None
    namespace, _, name = username.removeprefix(_SERVICE_ACCOUNT).partition(":")
    return (namespace, name) if namespace and name and ":" not in name else None

"""Settings and identities that Pods use: ConfigMap, Secret, ServiceAccount."""

from __future__ import annotations

from raysail.api.core.pod import LocalObjectReference
from raysail.api.core.service import ObjectReference
from raysail.api.meta import Object


class ConfigMap(Object, frozen=True):
    """Settings as text; `binary_data` is base64."""

    data: dict[str, str] | None = None
    binary_data: dict[str, str] | None = None
    immutable: bool | None = None


class Secret(Object, frozen=True):
    """Sensitive values, base64."""

    type: str = ""
    data: dict[str, str] | None = None
    immutable: bool | None = None


class ServiceAccount(Object, frozen=True):
    """An identity for Pods."""

    secrets: list[ObjectReference] | None = None
    image_pull_secrets: list[LocalObjectReference] | None = None
    automount_service_account_token: bool | None = None

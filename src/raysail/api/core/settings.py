"""Settings and identities that Pods use: ConfigMap, Secret, ServiceAccount."""

from __future__ import annotations

from raysail.api.core.pod import LocalObjectReference
from raysail.api.core.service import ObjectReference
from raysail.api.meta import ObjectMeta, View


class ConfigMap(View, frozen=True):
    """Settings as text; `binary_data` is base64."""

    metadata: ObjectMeta = ObjectMeta()
    data: dict[str, str] | None = None
    binary_data: dict[str, str] | None = None
    immutable: bool | None = None


class Secret(View, frozen=True):
    """Sensitive values, base64."""

    metadata: ObjectMeta = ObjectMeta()
    type: str = ""
    data: dict[str, str] | None = None
    immutable: bool | None = None


class ServiceAccount(View, frozen=True):
    """An identity for Pods."""

    metadata: ObjectMeta = ObjectMeta()
    secrets: list[ObjectReference] | None = None
    image_pull_secrets: list[LocalObjectReference] | None = None
    automount_service_account_token: bool | None = None

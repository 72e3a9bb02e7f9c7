"""Volumes of a Pod. The kinds that a machine can provide are typed; the rest (cloud disks and the like) are only named in `Volume.kind`."""

from __future__ import annotations

from typing import Any

from msgspec import field

from raysail.api.core.containers import ObjectFieldSelector, ResourceFieldSelector
from raysail.api.meta import View
from raysail.api.quantity import Quantity


class EmptyDir(View, frozen=True):
    """A folder that lives as long as the Pod. `medium` is empty or Memory."""

    medium: str = ""
    size_limit: Quantity | None = None


class HostPath(View, frozen=True):
    """A path of the node. `type` says what must be there (DirectoryOrCreate, File, ...)."""

    path: str = ""
    type: str | None = None


class KeyToPath(View, frozen=True):
    """A key and the file that it becomes."""

    key: str = ""
    path: str = ""
    mode: int | None = None


class ConfigMapVolume(View, frozen=True):
    """A ConfigMap's keys as files."""

    name: str = ""
    items: list[KeyToPath] | None = None
    default_mode: int | None = None
    optional: bool | None = None


class SecretVolume(View, frozen=True):
    """A Secret's keys as files."""

    secret_name: str = ""
    items: list[KeyToPath] | None = None
    default_mode: int | None = None
    optional: bool | None = None


class DownwardApiFile(View, frozen=True):
    """A field of the Pod or a container's resource as a file."""

    path: str = ""
    field_ref: ObjectFieldSelector | None = None
    resource_field_ref: ResourceFieldSelector | None = None
    mode: int | None = None


class DownwardApiVolume(View, frozen=True):
    """The Pod's own data as files."""

    items: list[DownwardApiFile] | None = None
    default_mode: int | None = None


class NamedProjection(View, frozen=True):
    """A ConfigMap or Secret inside a projected volume."""

    name: str = ""
    items: list[KeyToPath] | None = None
    optional: bool | None = None


class ServiceAccountTokenProjection(View, frozen=True):
    """A token of the Pod's service account."""

    path: str = ""
    audience: str = ""
    expiration_seconds: int | None = None


class VolumeProjection(View, frozen=True):
    """One source of a projected volume; one member is set."""

    config_map: NamedProjection | None = None
    secret: NamedProjection | None = None
    downward_api: DownwardApiVolume | None = field(default=None, name="downwardAPI")
    service_account_token: ServiceAccountTokenProjection | None = None
    cluster_trust_bundle: dict[str, Any] | None = None
    pod_certificate: dict[str, Any] | None = None


class ProjectedVolume(View, frozen=True):
    """Several sources in one folder."""

    sources: list[VolumeProjection] | None = None
    default_mode: int | None = None


class PersistentVolumeClaimVolume(View, frozen=True):
    """A claim of the Pod's namespace."""

    claim_name: str = ""
    read_only: bool = False


class EphemeralVolume(View, frozen=True):
    """A claim made for the Pod and deleted with it."""

    volume_claim_template: dict[str, Any] | None = None


class Volume(View, frozen=True):
    """One volume of a Pod; one source is set."""

    name: str = ""
    empty_dir: EmptyDir | None = None
    host_path: HostPath | None = None
    config_map: ConfigMapVolume | None = None
    secret: SecretVolume | None = None
    projected: ProjectedVolume | None = None
    downward_api: DownwardApiVolume | None = field(default=None, name="downwardAPI")
    persistent_volume_claim: PersistentVolumeClaimVolume | None = None
    ephemeral: EphemeralVolume | None = None
    csi: dict[str, Any] | None = None
    nfs: dict[str, Any] | None = None
    image: dict[str, Any] | None = None

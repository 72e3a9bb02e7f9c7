"""A Pod's volumes as folders of this machine, and the mounts of a container.

What comes from the API (ConfigMaps, Secrets, tokens, the Pod's own fields) is written into folders that are updated in place, so running containers see
changes, except through `subPath`, as in Kubernetes.
"""

from __future__ import annotations

import base64
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from raysail.api.core.containers import Container
from raysail.api.core.pod import Pod
from raysail.api.core.settings import ConfigMap, Secret
from raysail.api.core.volumes import DownwardApiFile, KeyToPath, Volume, VolumeProjection
from raysail.api.quantity import parse
from raysail.node.environment import ConfigError, Sources, expand, field_value, resource_value
from raysail.node.files import File, write_folder

DEFAULT_TOKEN_SECONDS: Final = 3600


class VolumeError(Exception):
    """A volume cannot be made now (event FailedMount); it is tried again."""


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """A token that a projected volume needs, and the file it becomes."""

    volume: str
    path: str
    audience: str
    expiration_seconds: int


@dataclass(frozen=True, slots=True)
class Objects:
    """Where volumes' content comes from: objects of the Pod's namespace, by name; None where there is no such object."""

    config_map: Callable[[str], ConfigMap | None]
    secret: Callable[[str], Secret | None]
    claim_path: Callable[[str], Path | None]
    """Where a bound PersistentVolumeClaim lies on this machine."""
    tokens: Mapping[tuple[str, str], str]
    """Tokens that have been issued, by (volume, path)."""
    sources: Sources


def folder_of(pods: Path, pod: Pod, volume: str) -> Path:
    """Where the agent keeps a volume."""
    return pods / pod.metadata.uid / "volumes" / volume


def token_requests(pod: Pod) -> list[TokenRequest]:
    """All tokens that the Pod's volumes need."""
    return [
        TokenRequest(volume.name, token.path, token.audience, token.expiration_seconds or DEFAULT_TOKEN_SECONDS)
        for volume in pod.spec.volumes or ()
        if volume.projected is not None
        for source in volume.projected.sources or ()
        if (token := source.service_account_token) is not None
    ]


def memory_folders(pods: Path, pod: Pod) -> list[dict[str, Any]]:
    """The emptyDirs that live in memory: what the supervisor mounts before any container starts."""
    return [
        {"path": str(folder_of(pods, pod, volume.name)), "size_bytes": parse(volume.empty_dir.size_limit or 0)}
        for volume in pod.spec.volumes or ()
        if volume.empty_dir is not None and volume.empty_dir.medium == "Memory"
    ]


def prepare(pods: Path, pod: Pod, objects: Objects) -> None:
    """Makes or updates all volumes. Raises VolumeError with what is missing."""
    for volume in pod.spec.volumes or ():
        folder = folder_of(pods, pod, volume.name)
        files = _files(pod, volume, objects)
        if files is not None:
            try:
                write_folder(folder, files)
            except (OSError, ValueError) as error:
                raise VolumeError(f'MountVolume.SetUp failed for volume "{volume.name}" : {error}') from error
        elif volume.host_path is not None:
            _check_host_path(volume.name, Path(volume.host_path.path), volume.host_path.type or "")
        elif volume.persistent_volume_claim is not None or volume.ephemeral is not None:
            if objects.claim_path(claim_name(pod, volume)) is None:
                raise VolumeError(
                    f'MountVolume.SetUp failed for volume "{volume.name}" : persistentvolumeclaim "{claim_name(pod, volume)}" is not bound'
                )
        elif volume.empty_dir is not None:
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o777)
        else:
            kind = next((name for name in ("csi", "nfs", "image") if getattr(volume, name) is not None), "of this kind")
            raise VolumeError(f'volume "{volume.name}": volumes {kind} are not supported on one machine; use emptyDir, hostPath or a claim')


def claim_name(pod: Pod, volume: Volume) -> str:
    """The claim of a volume; an ephemeral one's is named after the Pod."""
    claim = volume.persistent_volume_claim
    return claim.claim_name if claim is not None else f"{pod.metadata.name}-{volume.name}"


def mounts(pods: Path, pod: Pod, container: Container, environment: Mapping[str, str], objects: Objects) -> list[dict[str, Any]]:
    """The mounts of a container for `supervisor.rootfs`. Raises ConfigError, VolumeError."""
    volumes = {volume.name: volume for volume in pod.spec.volumes or ()}
    result = []
    for wanted in container.volume_mounts or ():
        volume = volumes.get(wanted.name)
        if volume is None:
            raise ConfigError(f'volumeMount "{wanted.name}" names no volume of the Pod')
        source = _source(pods, pod, volume, objects)
        sub_path = expand(wanted.sub_path_expr, environment) if wanted.sub_path_expr else wanted.sub_path
        if sub_path:
            inside = Path(sub_path)
            if inside.is_absolute() or ".." in inside.parts:
                raise ConfigError(f'subPath "{sub_path}" must stay inside the volume')
            source = source / inside
            if not source.exists():
                source.mkdir(parents=True)
            source = source.resolve()
        read_only = wanted.read_only or volume.config_map is not None or volume.secret is not None or volume.projected is not None
        read_only = read_only or volume.downward_api is not None
        result.append({"source": str(source), "target": wanted.mount_path.rstrip("/") or "/", "read_only": read_only})
    return result


def _source(pods: Path, pod: Pod, volume: Volume, objects: Objects) -> Path:
    if volume.host_path is not None:
        return Path(volume.host_path.path)
    if volume.persistent_volume_claim is not None or volume.ephemeral is not None:
        path = objects.claim_path(claim_name(pod, volume))
        if path is None:
            raise VolumeError(f'persistentvolumeclaim "{claim_name(pod, volume)}" is not bound')
        path.mkdir(parents=True, exist_ok=True)
        return path
    return folder_of(pods, pod, volume.name)


def _files(pod: Pod, volume: Volume, objects: Objects) -> dict[str, File] | None:
    """The content of volumes that come from the API; None for other kinds."""
    if volume.config_map is not None:
        source = volume.config_map
        return _config_map(volume.name, source.name, source.items, source.default_mode, source.optional, objects)
    if volume.secret is not None:
        wanted = volume.secret
        return _secret(volume.name, wanted.secret_name, wanted.items, wanted.default_mode, wanted.optional, objects)
    if volume.downward_api is not None:
        return _downward(pod, volume.downward_api.items or (), volume.downward_api.default_mode, objects)
    if volume.projected is not None:
        files: dict[str, File] = {}
        for projection in volume.projected.sources or ():
            files |= _projection(pod, volume.name, projection, volume.projected.default_mode, objects)
        return files
    return None


def _projection(pod: Pod, volume: str, source: VolumeProjection, mode: int | None, objects: Objects) -> dict[str, File]:
    if source.config_map is not None:
        return _config_map(volume, source.config_map.name, source.config_map.items, mode, source.config_map.optional, objects)
    if source.secret is not None:
        return _secret(volume, source.secret.name, source.secret.items, mode, source.secret.optional, objects)
    if source.downward_api is not None:
        return _downward(pod, source.downward_api.items or (), mode, objects)
    if source.service_account_token is not None:
        path = source.service_account_token.path
        token = objects.tokens.get((volume, path))
        if token is None:
            raise VolumeError(f'MountVolume.SetUp failed for volume "{volume}" : failed to fetch token')
        return {path: File(token.encode(), 0o600 if mode is None else mode)}
    raise VolumeError(f'MountVolume.SetUp failed for volume "{volume}" : a projection of this kind is not supported on one machine')


def _config_map(
    volume: str, name: str, items: Sequence[KeyToPath] | None, mode: int | None, optional: bool | None, objects: Objects
) -> dict[str, File]:
    found = objects.config_map(name)
    if found is None:
        if optional:
            return {}
        raise VolumeError(f'MountVolume.SetUp failed for volume "{volume}" : configmap "{name}" not found')
    data = {key: text.encode() for key, text in (found.data or {}).items()}
    data |= {key: base64.b64decode(text) for key, text in (found.binary_data or {}).items()}
    return _selected(volume, data, items, mode, optional)


def _secret(
    volume: str, name: str, items: Sequence[KeyToPath] | None, mode: int | None, optional: bool | None, objects: Objects
) -> dict[str, File]:
    found = objects.secret(name)
    if found is None:
        if optional:
            return {}
        raise VolumeError(f'MountVolume.SetUp failed for volume "{volume}" : secret "{name}" not found')
    data = {key: base64.b64decode(text) for key, text in (found.data or {}).items()}
    return _selected(volume, data, items, mode, optional)


def _selected(
    volume: str, data: Mapping[str, bytes], items: Sequence[KeyToPath] | None, mode: int | None, optional: bool | None
) -> dict[str, File]:
    bits = 0o644 if mode is None else mode
    if items is None:
        return {key: File(content, bits) for key, content in data.items()}
    files = {}
    for item in items:
        if item.key not in data:
            if optional:
                continue
            raise VolumeError(f'MountVolume.SetUp failed for volume "{volume}" : references non-existent key: {item.key}')
        files[item.path] = File(data[item.key], bits if item.mode is None else item.mode)
    return files


def _downward(pod: Pod, items: Sequence[DownwardApiFile], mode: int | None, objects: Objects) -> dict[str, File]:
    files = {}
    bits = 0o644 if mode is None else mode
    for item in items:
        if item.field_ref is not None:
            text = field_value(pod, item.field_ref.field_path, objects.sources.status_fields)
        elif item.resource_field_ref is not None:
            text = resource_value(pod, pod.spec.containers[0], item.resource_field_ref, objects.sources.allocatable)
        else:
            continue
        files[item.path] = File(text.encode(), bits if item.mode is None else item.mode)
    return files


def _check_host_path(volume: str, path: Path, kind: str) -> None:
    """What `hostPath.type` asks for (pkg/volume/hostpath)."""
    if kind == "DirectoryOrCreate":
        path.mkdir(parents=True, exist_ok=True, mode=0o755)
        return
    if kind == "FileOrCreate":
        path.touch(exist_ok=True, mode=0o644)
        return
    checks = {
        "Directory": stat.S_ISDIR,
        "File": stat.S_ISREG,
        "Socket": stat.S_ISSOCK,
        "CharDevice": stat.S_ISCHR,
        "BlockDevice": stat.S_ISBLK,
    }
    if not path.exists():
        if kind == "":
            path.mkdir(parents=True, exist_ok=True)  # container runtimes make the missing source of a bind mount
            return
        raise VolumeError(f'MountVolume.SetUp failed for volume "{volume}" : hostPath type check failed: {path} is not a {kind.lower()}')
    if kind in checks and not checks[kind](path.stat().st_mode):
        raise VolumeError(f'MountVolume.SetUp failed for volume "{volume}" : hostPath type check failed: {path} is not a {kind.lower()}')

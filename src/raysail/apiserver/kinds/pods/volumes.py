"""Volumes and where containers mount them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from raysail.api.causes import duplicate, forbidden, invalid, not_found, not_supported, required
from raysail.api.quantity import parse_nano
from raysail.apiserver.kinds.fields import (
    Faults,
    JsonMap,
    check_label,
    check_local_path,
    check_local_unreserved_path,
    check_mode,
    check_no_backsteps,
    check_subdomain,
)
from raysail.apiserver.kinds.pods.environment import VOLUME_FIELDS, check_field_reference, check_resource_reference

ClaimTemplateCheck = Callable[[JsonMap, str, Faults], None]

_HOST_PATH_TYPES: Final = (
    "",
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
)
# Sources of clouds and storage systems: known, kept, checked for what must be there only.
_NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "persistentVolumeClaim": ("claimName",),
    "gitRepo": ("repository",),
    "gcePersistentDisk": ("pdName",),
    "awsElasticBlockStore": ("volumeID",),
    "nfs": ("server", "path"),
    "iscsi": ("targetPortal", "iqn"),
    "glusterfs": ("endpoints", "path"),
    "flocker": (),
    "rbd": ("monitors", "image"),
    "cinder": ("volumeID",),
    "cephfs": ("monitors",),
    "quobyte": ("registry", "volume"),
    "fc": (),
    "flexVolume": ("driver",),
    "azureFile": ("secretName", "shareName"),
    "vsphereVolume": ("volumePath",),
    "photonPersistentDisk": ("pdID",),
    "portworxVolume": ("volumeID",),
    "azureDisk": ("diskName", "diskURI"),
    "storageos": ("volumeName",),
    "scaleIO": ("gateway", "system", "volumeName"),
    "csi": ("driver",),
}
_SOURCES: Final = ("emptyDir", "hostPath", "secret", "configMap", "downwardAPI", "projected", "ephemeral", "image", *_NEEDED)


def check_volumes(volumes: list[Any], pod_name: str, at: str, faults: Faults, *, check_claim: ClaimTemplateCheck) -> dict[str, JsonMap]:
    """`volumes`; gives those that are well formed, by name. `pod_name` is empty in templates."""
    found: dict[str, JsonMap] = {}
    created = {f"{pod_name}-{v.get('name', '')}" for v in volumes if pod_name and v.get("ephemeral") is not None}
    for index, volume in enumerate(volumes):
        here, name = f"{at}[{index}]", volume.get("name", "")
        own: Faults = []
        _check_source(volume, name, pod_name, here, own, check_claim)
        if not name:
            own.append(required(f"{here}.name"))
        else:
            check_label(name, f"{here}.name", own)
        if name in found:
            own.append(duplicate(f"{here}.name", name))
        if not own:
            found[name] = volume
        faults.extend(own)
        claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
        if claim and claim in created:
            text = "must not reference a PVC that gets created for an ephemeral volume"
            faults.append(invalid(f"{here}.persistentVolumeClaim.claimName", claim, text))
    return found


def _check_source(volume: JsonMap, name: str, pod_name: str, at: str, faults: Faults, check_claim: ClaimTemplateCheck) -> None:
    given = [source for source in _SOURCES if volume.get(source) is not None]
    if not given:
        faults.append(required(at, "must specify a volume type"))
        return
    faults.extend(forbidden(f"{at}.{source}", "may not specify more than 1 volume type") for source in given[1:])
    source, here = given[0], f"{at}.{given[0]}"
    content = volume[source]
    if source == "emptyDir":
        limit = content.get("sizeLimit")
        if limit is not None and parse_nano(limit) < 0:
            faults.append(forbidden(f"{here}.sizeLimit", "SizeLimit field must be a valid resource quantity"))
    elif source == "hostPath":
        _check_host_path(content, here, faults)
    elif source in ("secret", "configMap"):
        key = "secretName" if source == "secret" else "name"
        if not content.get(key):
            faults.append(required(f"{here}.{key}"))
        check_mode(content.get("defaultMode"), f"{here}.defaultMode", faults)
        _check_items(content, here, faults)
    elif source == "downwardAPI":
        check_mode(content.get("defaultMode"), f"{here}.defaultMode", faults)
        for item in content.get("items") or ():
            _check_downward_file(item, here, faults)
    elif source == "projected":
        check_mode(content.get("defaultMode"), f"{here}.defaultMode", faults)
        _check_projections(content.get("sources") or [], here, faults)
    elif source == "ephemeral":
        if content.get("volumeClaimTemplate") is None:
            faults.append(required(f"{here}.volumeClaimTemplate"))
        else:
            check_claim(content["volumeClaimTemplate"], f"{here}.volumeClaimTemplate", faults)
        if pod_name and name:
            own: Faults = []
            check_subdomain(f"{pod_name}-{name}", at, own)
            faults.extend(invalid(f"{at}.name", name, f'PVC name "{pod_name}-{name}": {fault.message}') for fault in own)
    elif source == "image":
        if not content.get("reference") and not pod_name:
            return
        if not content.get("reference"):
            faults.append(required(f"{here}.reference"))
        elif content.get("pullPolicy") not in ("Always", "IfNotPresent", "Never"):
            faults.append(not_supported(f"{here}.pullPolicy", content.get("pullPolicy", ""), ("Always", "IfNotPresent", "Never")))
    else:
        faults.extend(required(f"{here}.{needed}") for needed in _NEEDED[source] if not content.get(needed))


def _check_host_path(content: JsonMap, at: str, faults: Faults) -> None:
    path, kind = content.get("path", ""), content.get("type")
    if not path:
        faults.append(required(f"{at}.path"))
        return
    check_no_backsteps(path, f"{at}.path", faults)
    if kind is not None and kind not in _HOST_PATH_TYPES:
        faults.append(not_supported(f"{at}.type", kind, _HOST_PATH_TYPES))


def _check_items(content: JsonMap, at: str, faults: Faults) -> None:
    for index, item in enumerate(content.get("items") or ()):
        here, path = f"{at}.items[{index}]", item.get("path", "")
        if not item.get("key"):
            faults.append(required(f"{here}.key"))
        if not path:
            faults.append(required(f"{here}.path"))
        check_local_unreserved_path(path, f"{here}.path", faults)
        check_mode(item.get("mode"), f"{here}.mode", faults)


def _check_downward_file(item: JsonMap, at: str, faults: Faults) -> None:
    path = item.get("path", "")
    if not path:
        faults.append(required(f"{at}.path"))
    check_local_unreserved_path(path, f"{at}.path", faults)
    if item.get("fieldRef") is not None:
        check_field_reference(item["fieldRef"], VOLUME_FIELDS, f"{at}.fieldRef", faults)
        if item.get("resourceFieldRef") is not None:
            faults.append(invalid(at, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously"))
    elif item.get("resourceFieldRef") is not None:
        check_resource_reference(item["resourceFieldRef"], f"{at}.resourceFieldRef", faults, in_volume=True)
    else:
        faults.append(required(at, "one of fieldRef and resourceFieldRef is required"))
    check_mode(item.get("mode"), f"{at}.mode", faults)


def _check_projections(sources: list[Any], at: str, faults: Faults) -> None:
    taken: set[str] = set()

    def take(path: str, shown: str) -> None:
        if path and path in taken:
            faults.append(invalid(at, shown, "conflicting duplicate paths"))
        taken.add(path)

    for index, source in enumerate(sources):
        here = f"{at}.sources[{index}]"
        for kind in ("secret", "configMap"):
            content = source.get(kind)
            if content is not None:
                if not content.get("name"):
                    faults.append(required(f"{here}.{kind}.name"))
                _check_items(content, f"{here}.{kind}", faults)
                for item in content.get("items") or ():
                    take(item.get("path", ""), content.get("name", ""))
        for item in (source.get("downwardAPI") or {}).get("items") or ():
            _check_downward_file(item, f"{here}.downwardAPI", faults)
            take(item.get("path", ""), item.get("path", ""))
        token = source.get("serviceAccountToken")
        if token is not None:
            _check_token(token, f"{here}.serviceAccountToken", at, faults)
        if sum(value is not None for value in source.values()) > 1:
            faults.append(forbidden(here, "may not specify more than 1 volume type per source"))


def _check_token(token: JsonMap, at: str, volume_at: str, faults: Faults) -> None:
    seconds = token.get("expirationSeconds", 0)
    if seconds < 600:
        faults.append(invalid(f"{at}.expirationSeconds", seconds, "may not specify a duration less than 10 minutes"))
    if seconds > 1 << 32:
        faults.append(invalid(f"{at}.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds"))
    if not token.get("path"):
        faults.append(required(f"{volume_at}.path"))
    else:
        check_local_unreserved_path(token["path"], f"{volume_at}.path", faults)


def check_mounts(container: JsonMap, volumes: Mapping[str, JsonMap], at: str, faults: Faults) -> None:
    """`volumeMounts` and `volumeDevices` of a container."""
    mounts, devices = container.get("volumeMounts") or [], container.get("volumeDevices") or []
    device_names = {device.get("name", "") for device in devices}
    device_paths = {device.get("devicePath", "") for device in devices}
    places: set[str] = set()
    for index, mount in enumerate(mounts):
        here, name, place = f"{at}.volumeMounts[{index}]", mount.get("name", ""), mount.get("mountPath", "")
        if not name:
            faults.append(required(f"{here}.name"))
        if name not in volumes:
            faults.append(not_found(f"{here}.name", name))
        if not place:
            faults.append(required(f"{here}.mountPath"))
        if place in places:
            faults.append(invalid(f"{here}.mountPath", place, "must be unique"))
        places.add(place)
        if name in device_names:
            faults.append(invalid(f"{here}.name", name, "must not already exist in volumeDevices"))
        if place in device_paths:
            faults.append(invalid(f"{here}.mountPath", place, "must not already exist as a path in volumeDevices"))
        _check_mount_options(mount, container, here, f"{at}.volumeMounts", faults)
    _check_devices(devices, mounts, volumes, f"{at}.volumeDevices", faults)


def _check_mount_options(mount: JsonMap, container: JsonMap, here: str, at: str, faults: Faults) -> None:
    if mount.get("subPath"):
        check_local_path(mount["subPath"], f"{at}.subPath", faults)
    if mount.get("subPathExpr"):
        if mount.get("subPath"):
            faults.append(invalid(f"{here}.subPathExpr", mount["subPathExpr"], "subPathExpr and subPath are mutually exclusive"))
        check_local_path(mount["subPathExpr"], f"{at}.subPathExpr", faults)
    propagation = mount.get("mountPropagation")
    if propagation is not None:
        if propagation not in ("Bidirectional", "HostToContainer", "None"):
            faults.append(not_supported(f"{at}.mountPropagation", propagation, ("Bidirectional", "HostToContainer", "None")))
        elif propagation == "Bidirectional" and not (container.get("securityContext") or {}).get("privileged"):
            text = "Bidirectional mount propagation is available only to privileged containers"
            faults.append(forbidden(f"{at}.mountPropagation", text))
    recursive = mount.get("recursiveReadOnly")
    if recursive is not None:
        where = f"{at}.recursiveReadOnly"
        if recursive not in ("Disabled", "Enabled", "IfPossible"):
            faults.append(not_supported(where, recursive, ("Disabled", "Enabled", "IfPossible")))
        elif recursive != "Disabled" and not mount.get("readOnly"):
            faults.append(forbidden(where, "may only be specified when readOnly is true"))
        elif recursive != "Disabled" and propagation not in (None, "None"):
            faults.append(forbidden(where, "may only be specified when mountPropagation is None or not specified"))


def _check_devices(devices: list[Any], mounts: list[Any], volumes: Mapping[str, JsonMap], at: str, faults: Faults) -> None:
    mount_names = {mount.get("name", "") for mount in mounts}
    mount_paths = {mount.get("mountPath", "") for mount in mounts}
    names: set[str] = set()
    paths: set[str] = set()
    for index, device in enumerate(devices):
        here, name, path = f"{at}[{index}]", device.get("name", ""), device.get("devicePath", "")
        volume = volumes.get(name)
        if not name:
            faults.append(required(f"{here}.name"))
        if name in names:
            faults.append(invalid(f"{here}.name", name, "must be unique"))
        if volume is None:
            faults.append(not_found(f"{here}.name", name))
        elif volume.get("persistentVolumeClaim") is None and volume.get("ephemeral") is None:
            text = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"
            faults.append(invalid(f"{here}.name", name, text))
        if not path:
            faults.append(required(f"{here}.devicePath"))
        if path in paths:
            faults.append(invalid(f"{here}.devicePath", path, "must be unique"))
        if ".." in path.split("/"):
            faults.append(invalid(f"{here}.devicePath", path, "can not contain backsteps ('..')"))
        else:
            paths.add(path)
        if name in mount_names:
            faults.append(invalid(f"{here}.name", name, "must not already exist in volumeMounts"))
        if path in mount_paths:
            faults.append(invalid(f"{here}.devicePath", path, "must not already exist as a path in volumeMounts"))
        if name:
            names.add(name)

"""ConfigMap, Secret, ServiceAccount."""

from __future__ import annotations

import base64
import json
from typing import Final

from raysail.api.causes import forbidden, invalid, required, too_long
from raysail.apiserver.kinds.fields import Faults, JsonMap, check_immutable, config_key_faults, each
from raysail.apiserver.kinds.rules import Rules

MAX_BYTES: Final = 1024 * 1024
_FIXED: Final = "field is immutable when `immutable` is set"
_ACCOUNT: Final = "kubernetes.io/service-account.name"
_REDACTED: Final = "<secret contents redacted>"


def _check_config_map(obj: JsonMap, faults: Faults) -> None:
    data, binary = obj.get("data") or {}, obj.get("binaryData") or {}
    for key in data:
        each(faults, f"data[{key}]", key, config_key_faults(key))
        if key in binary:
            faults.append(invalid(f"data[{key}]", key, "duplicate of key present in binaryData"))
    for key in binary:
        each(faults, f"binaryData[{key}]", key, config_key_faults(key))
    size = sum(len(text.encode()) for text in data.values()) + sum(map(_decoded_bytes, binary.values()))
    if size > MAX_BYTES:
        faults.append(too_long("", MAX_BYTES))


def _decoded_bytes(text: str) -> int:
    return len(text) * 3 // 4 - text[-2:].count("=")


def _check_still(obj: JsonMap, old: JsonMap, names: tuple[str, ...], faults: Faults) -> None:
    if not old.get("immutable"):
        return
    if not obj.get("immutable"):
        faults.append(forbidden("immutable", _FIXED))
    faults.extend(forbidden(name, _FIXED) for name in names if (obj.get(name) or {}) != (old.get(name) or {}))


def _check_config_map_update(obj: JsonMap, old: JsonMap, faults: Faults) -> None:
    _check_still(obj, old, ("data", "binaryData"), faults)


def _check_secret(obj: JsonMap, faults: Faults) -> None:
    data, kind = obj.get("data") or {}, obj.get("type", "")
    for key in data:
        each(faults, f"data[{key}]", key, config_key_faults(key))
    if sum(map(_decoded_bytes, data.values())) > MAX_BYTES:
        faults.append(too_long("data", MAX_BYTES))

    def need(*keys: str) -> None:
        faults.extend(required(f"data[{key}]") for key in keys if key not in data)

    if kind == "kubernetes.io/service-account-token":
        if not (obj["metadata"].get("annotations") or {}).get(_ACCOUNT):
            faults.append(required(f"metadata.annotations[{_ACCOUNT}]"))
    elif kind in ("kubernetes.io/dockercfg", "kubernetes.io/dockerconfigjson"):
        key = ".dockercfg" if kind.endswith("dockercfg") else ".dockerconfigjson"
        need(key)
        if key in data:
            _check_json(data[key], f"data[{key}]", faults)
    elif kind == "kubernetes.io/basic-auth":
        if not {"username", "password"} & set(data):
            need("username", "password")
    elif kind == "kubernetes.io/ssh-auth":
        if not data.get("ssh-privatekey"):
            faults.append(required("data[ssh-privatekey]"))
    elif kind == "kubernetes.io/tls":
        need("tls.crt", "tls.key")


def _check_json(text: str, at: str, faults: Faults) -> None:
    try:
        content = json.loads(base64.b64decode(text))
        fault = "" if isinstance(content, dict) else "json: cannot unmarshal into Go value of type map[string]interface {}"
    except ValueError as error:
        fault = str(error)
    if fault:
        faults.append(invalid(at, _REDACTED, fault))


def _check_secret_update(obj: JsonMap, old: JsonMap, faults: Faults) -> None:
    check_immutable(obj.get("type"), old.get("type"), "type", faults)
    _check_still(obj, old, ("data",), faults)


CONFIG_MAP: Final = Rules(check=_check_config_map, check_update=_check_config_map_update)
SECRET: Final = Rules(check=_check_secret, check_update=_check_secret_update)
SERVICE_ACCOUNT: Final = Rules()

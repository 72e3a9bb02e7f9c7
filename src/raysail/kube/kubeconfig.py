"""Reading kubeconfig files, and the configuration that a Pod finds inside its cluster.

Rules: k8s.io/client-go tools/clientcmd (several files in KUBECONFIG merge, the first to name something wins; relative paths are relative to the
file that holds them; data wins over files; a token file over a token).
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from raysail.kube.connection import Connection
from raysail.kube.credentials import Credentials, ExecPlugin, StaticHeaders, TokenFile, basic, bearer

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_LISTS: Final = (("clusters", "cluster"), ("contexts", "context"), ("users", "user"))
_PATHS: Final = ("certificate-authority", "client-certificate", "client-key", "tokenFile")


class KubeconfigError(Exception):
    """The file cannot be used; the message names the file, the entry and the way out."""


def load(path: Path | str | None = None, context: str = "", *, environment: Mapping[str, str] = os.environ) -> Connection:
    """The connection that a kubeconfig describes: `path`, else KUBECONFIG, else ~/.kube/config; its current context unless named.

    Raises KubeconfigError.
    """
    paths = [Path(path)] if path is not None else default_paths(environment)
    merged: dict[str, dict[str, dict[str, Any]]] = {plural: {} for plural, _ in _LISTS}
    current, found = "", False
    for file in paths:
        if not file.exists():
            if path is not None:
                raise KubeconfigError(f"there is no kubeconfig at {file}")
            continue
        found = True
        document = _read(file)
        current = current or document.get("current-context") or ""
        for plural, singular in _LISTS:
            for entry in document.get(plural) or ():
                merged[plural].setdefault(str(entry.get("name", "")), _absolute(entry.get(singular) or {}, file.parent))
    if not found:
        raise KubeconfigError(
            f"no kubeconfig found (looked at {', '.join(str(p) for p in paths)}); name one with --kubeconfig or KUBECONFIG"
        )
    return _connection(merged, context or current, str(paths[0]))


def parse(text: str, source: str) -> Connection:
    """The connection of a kubeconfig's current context; it must hold all data itself. `source` is named in errors. Raises KubeconfigError."""
    try:
        document = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise KubeconfigError(f"cannot read the kubeconfig of {source}: {error}") from error
    if not isinstance(document, dict):
        raise KubeconfigError(f"{source} holds no kubeconfig: expected a mapping with clusters, users and contexts")
    merged: dict[str, dict[str, dict[str, Any]]] = {
        plural: {str(entry.get("name", "")): dict(entry.get(singular) or {}) for entry in document.get(plural) or ()}
        for plural, singular in _LISTS
    }
    return _connection(merged, str(document.get("current-context") or ""), source)


def default_paths(environment: Mapping[str, str] = os.environ) -> list[Path]:
    """The files that kubectl would read."""
    named = environment.get("KUBECONFIG", "")
    return [Path(p) for p in named.split(os.pathsep) if p] or [Path.home() / ".kube" / "config"]


def in_cluster(root: Path = SERVICE_ACCOUNT, *, environment: Mapping[str, str] = os.environ) -> Connection | None:
    """The connection of a Pod by its service account; None outside of a cluster."""
    host, port = environment.get("KUBERNETES_SERVICE_HOST", ""), environment.get("KUBERNETES_SERVICE_PORT", "")
    token = root / "token"
    if not host or not port or not token.exists():
        return None
    ca, namespace = root / "ca.crt", root / "namespace"
    return Connection(
        server=f"https://{f'[{host}]' if ':' in host else host}:{port}",
        ca_pem=ca.read_text() if ca.exists() else "",
        credentials=TokenFile(token),
        namespace=namespace.read_text().strip() if namespace.exists() else "default",
    )


def discover(path: Path | str | None = None, context: str = "", *, environment: Mapping[str, str] = os.environ) -> Connection:
    """What a controller uses: the named file; else KUBECONFIG; else the cluster it runs in; else ~/.kube/config. Raises KubeconfigError."""
    if path is None and not environment.get("KUBECONFIG"):
        inside = in_cluster(environment=environment)
        if inside is not None:
            return inside
    return load(path, context, environment=environment)


def _read(file: Path) -> dict[str, Any]:
    try:
        document = yaml.load(file.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or {}  # noqa: S506 - both are safe loaders
    except (OSError, yaml.YAMLError) as error:
        raise KubeconfigError(f"cannot read the kubeconfig {file}: {error}") from error
    if not isinstance(document, dict):
        raise KubeconfigError(f"{file} is not a kubeconfig: expected a mapping with clusters, users and contexts")
    return document


def _absolute(entry: Mapping[str, Any], directory: Path) -> dict[str, Any]:
    result = {key: str(directory / value) if key in _PATHS and value else value for key, value in entry.items()}
    plugin = result.get("exec")
    if isinstance(plugin, Mapping) and os.sep in str(plugin.get("command", "")):
        result["exec"] = {**plugin, "command": str(directory / plugin["command"])}
    return result


def _connection(merged: Mapping[str, Mapping[str, Mapping[str, Any]]], context_name: str, source: str) -> Connection:
    if not context_name:
        raise KubeconfigError(f"{source} has no current-context; name one of: {', '.join(merged['contexts']) or '(it has none)'}")
    context = merged["contexts"].get(context_name)
    if context is None:
        raise KubeconfigError(f"{source} has no context {context_name!r}; it has: {', '.join(merged['contexts']) or 'none'}")
    cluster = merged["clusters"].get(context.get("cluster", ""))
    if cluster is None or not cluster.get("server"):
        raise KubeconfigError(f"{source}: context {context_name!r} names cluster {context.get('cluster')!r}, which has no server")
    user = merged["users"].get(context.get("user", ""), {})
    return Connection(
        server=str(cluster["server"]),
        ca_pem=_pem(cluster, "certificate-authority"),
        client_certificate_pem=_pem(user, "client-certificate"),
        client_key_pem=_pem(user, "client-key"),
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
        tls_server_name=str(cluster.get("tls-server-name") or ""),
        credentials=_credentials(user, cluster, source),
        impersonate=str(user.get("as") or ""),
        impersonate_groups=tuple(user.get("as-groups") or ()),
        namespace=str(context.get("namespace") or "default"),
    )


def _pem(entry: Mapping[str, Any], field: str) -> str:
    data, file = entry.get(f"{field}-data"), entry.get(field)
    try:
        if data:
            return base64.b64decode(data, validate=True).decode()
        return Path(file).read_text() if file else ""
    except (binascii.Error, UnicodeDecodeError) as error:
        raise KubeconfigError(f"{field}-data in the kubeconfig is not base64 of a PEM text: {error}") from error
    except OSError as error:
        raise KubeconfigError(f"cannot read {field} {file}: {error.strerror}") from error


def _credentials(user: Mapping[str, Any], cluster: Mapping[str, Any], source: str) -> Credentials:
    if user.get("tokenFile"):
        return TokenFile(Path(user["tokenFile"]))
    if user.get("token"):
        return bearer(str(user["token"]))
    if user.get("username"):
        return basic(str(user["username"]), str(user.get("password") or ""))
    plugin = user.get("exec")
    if plugin:
        return _exec_plugin(plugin, cluster)
    if user.get("auth-provider"):
        name = user["auth-provider"].get("name")
        raise KubeconfigError(f"{source} uses the auth-provider {name!r}, which Kubernetes has removed; use an exec plugin or a token")
    return StaticHeaders()


def _exec_plugin(plugin: Mapping[str, Any], cluster: Mapping[str, Any]) -> ExecPlugin:
    pairs: Sequence[Mapping[str, str]] = plugin.get("env") or ()
    info = None
    if plugin.get("provideClusterInfo"):
        info = {
            k: v for k, v in cluster.items() if k in ("server", "tls-server-name", "insecure-skip-tls-verify", "certificate-authority-data")
        }
    return ExecPlugin(
        command=str(plugin.get("command", "")),
        arguments=[str(a) for a in plugin.get("args") or ()],
        environment={pair["name"]: pair["value"] for pair in pairs},
        api_version=str(plugin.get("apiVersion", "client.authentication.k8s.io/v1")),
        install_hint=str(plugin.get("installHint") or ""),
        cluster=info,
    )

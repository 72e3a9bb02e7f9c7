"""The environment of a container: `env` with all kinds of `valueFrom`, `envFrom`, `$(NAME)`, service variables. Pure.

Order of precedence as in the kubelet (pkg/kubelet/kubelet_pods.go, makeEnvironmentVariables): service variables, then envFrom, then env.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from raysail.api.core.containers import Container, EnvVar, ResourceFieldSelector
from raysail.api.core.pod import Pod
from raysail.api.core.service import Service
from raysail.api.quantity import parse_nano

_EXPRESSION: Final = re.compile(r"\$\$|\$\(([^()]*)\)")
_SUBSCRIPT: Final = re.compile(r"(metadata\.(?:labels|annotations))\['([^']*)'\]")


class ConfigError(Exception):
    """The container cannot be made as it is written: status reason CreateContainerConfigError."""


class Sources:
    """Where values come from. `config_map` and `secret` give an object's data (texts), or None where there is no such object."""

    def __init__(
        self,
        config_map: Callable[[str], Mapping[str, str] | None],
        secret: Callable[[str], Mapping[str, str] | None],
        status_fields: Mapping[str, str],
        allocatable: Mapping[str, str],
    ) -> None:
        self.config_map = config_map
        self.secret = secret
        self.status_fields = status_fields
        self.allocatable = allocatable


def build(pod: Pod, container: Container, base: Mapping[str, str], services: Iterable[Service], sources: Sources) -> dict[str, str]:
    """All variables of the container. `base` are the agent's own, which everything else overrides. Raises ConfigError."""
    result = dict(base)
    if pod.spec.enable_service_links is not False:
        result |= service_variables(services)
    result |= {name: base[name] for name in base if name.startswith("KUBERNETES_")}
    for source in container.env_from or ():
        reference = source.config_map_ref or source.secret_ref
        if reference is None:
            continue
        kind, lookup = ("configmap", sources.config_map) if source.config_map_ref else ("secret", sources.secret)
        data = lookup(reference.name)
        if data is None:
            if reference.optional:
                continue
            raise ConfigError(f'{kind} "{reference.name}" not found')
        result |= {source.prefix + key: value for key, value in data.items()}
    known = dict(result)
    for variable in container.env or ():
        value = _value(pod, container, variable, sources, known)
        if value is not None:
            result[variable.name] = known[variable.name] = value
    return result


def expand(text: str, variables: Mapping[str, str]) -> str:
    """`$(NAME)` by its value; `$$` is a dollar; what is not known stays as it is written."""

    def replace(match: re.Match[str]) -> str:
        if match.group(0) == "$$":
            return "$"
        return variables.get(match.group(1), match.group(0))

    return _EXPRESSION.sub(replace, text)


def command_line(container: Container, variables: Mapping[str, str]) -> list[str]:
    """`command` and `args`, expanded. Empty where the image would have had to say what to run."""
    return [expand(part, variables) for part in (*(container.command or ()), *(container.args or ()))]


def service_variables(services: Iterable[Service]) -> dict[str, str]:
    """NAME_SERVICE_HOST and the like for each Service with an address (pkg/kubelet/envvars)."""
    result: dict[str, str] = {}
    for service in services:
        spec = service.spec
        ports = spec.ports or []
        if not spec.cluster_ip or spec.headless or not ports:
            continue
        name = service.metadata.name.upper().replace("-", "_")
        result[f"{name}_SERVICE_HOST"] = spec.cluster_ip
        result[f"{name}_SERVICE_PORT"] = str(ports[0].port)
        for at, port in enumerate(ports):
            if port.name:
                result[f"{name}_SERVICE_PORT_{port.name.upper().replace('-', '_')}"] = str(port.port)
            protocol = (port.protocol or "TCP").lower()
            url = f"{protocol}://{spec.cluster_ip}:{port.port}"
            prefix = f"{name}_PORT_{port.port}_{protocol.upper()}"
            if at == 0:
                result[f"{name}_PORT"] = url
            result |= {prefix: url, f"{prefix}_PROTO": protocol, f"{prefix}_PORT": str(port.port), f"{prefix}_ADDR": spec.cluster_ip}
    return result


def field_value(pod: Pod, path: str, status_fields: Mapping[str, str]) -> str:
    """A field of the Pod as text, as the downward API gives it. Raises ConfigError for one that it does not know."""
    meta = pod.metadata
    match = _SUBSCRIPT.fullmatch(path)
    if match:
        found = meta.labels if match.group(1) == "metadata.labels" else meta.annotations
        return (found or {}).get(match.group(2), "")
    if path in ("metadata.labels", "metadata.annotations"):
        found = meta.labels if path == "metadata.labels" else meta.annotations
        return "\n".join(f"{key}={_quoted(value)}" for key, value in sorted((found or {}).items()))
    fixed = {
        "metadata.name": meta.name,
        "metadata.namespace": meta.namespace,
        "metadata.uid": meta.uid,
        "spec.nodeName": pod.spec.node_name,
        "spec.serviceAccountName": pod.spec.service_account_name,
        **status_fields,
    }
    if path not in fixed:
        raise ConfigError(f"unsupported fieldPath: {path}")
    return fixed[path]


def resource_value(pod: Pod, container: Container, selector: ResourceFieldSelector, allocatable: Mapping[str, str]) -> str:
    """A request or limit, divided and rounded up; a missing limit of CPU or memory is what the Node has. Raises ConfigError."""
    name = selector.container_name
    of = container
    if name:
        of = next((c for c in (*pod.spec.containers, *(pod.spec.init_containers or ())) if c.name == name), container)
    kind, _, resource = selector.resource.partition(".")
    if kind not in ("limits", "requests") or not resource:
        raise ConfigError(f"unsupported container resource : {selector.resource}")
    amounts = (of.resources.limits if kind == "limits" else of.resources.requests) or {}
    amount = amounts.get(resource, allocatable.get(resource, 0) if kind == "limits" else 0)
    divisor = parse_nano(selector.divisor or 1) or parse_nano(1)
    return str(-(-parse_nano(amount) // divisor))


def decode_secret(data: Mapping[str, str] | None) -> dict[str, str]:
    """A Secret's `data` as text; bytes that are no text keep their values as surrogates, as file names do."""
    return {key: base64.b64decode(value).decode(errors="surrogateescape") for key, value in (data or {}).items()}


def _value(pod: Pod, container: Container, variable: EnvVar, sources: Sources, known: Mapping[str, str]) -> str | None:
    source = variable.value_from
    if source is None:
        return expand(variable.value, known)
    if source.field_ref is not None:
        return field_value(pod, source.field_ref.field_path, sources.status_fields)
    if source.resource_field_ref is not None:
        return resource_value(pod, container, source.resource_field_ref, sources.allocatable)
    selector, lookup, kind = (
        (source.config_map_key_ref, sources.config_map, "configmap")
        if source.config_map_key_ref is not None
        else (source.secret_key_ref, sources.secret, "secret")
    )
    if selector is None:
        raise ConfigError(f"environment variable {variable.name}: this kind of valueFrom is not supported")
    data = lookup(selector.name)
    if data is None:
        if selector.optional:
            return None
        raise ConfigError(f'{kind} "{selector.name}" not found')
    if selector.key not in data:
        if selector.optional:
            return None
        where = "ConfigMap" if kind == "configmap" else "Secret"
        raise ConfigError(f"couldn't find key {selector.key} in {where} {pod.metadata.namespace}/{selector.name}")
    return data[selector.key]


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'


def without_unset(parts: Sequence[str]) -> list[str]:
    """The parts of a search path that are there, each once, in order."""
    return list(dict.fromkeys(part for part in parts if part))

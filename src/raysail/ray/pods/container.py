"""Reading and extending containers in their wire form (plain dicts)."""

from __future__ import annotations

from typing import Any

Container = dict[str, Any]
"""A container as it stands in a Pod's JSON."""


def env_value(container: Container, name: str) -> str | None:
    """The literal value of an environment variable; empty where it comes from elsewhere; None where there is no such variable."""
    found = next((entry for entry in container.get("env") or () if entry.get("name") == name), None)
    return None if found is None else str(found.get("value") or "")


def has_env(container: Container, name: str) -> bool:
    """Whether the container sets that environment variable."""
    return any(entry.get("name") == name for entry in container.get("env") or ())


def add_env(container: Container, name: str, value: str = "", *, value_from: dict[str, Any] | None = None) -> None:
    """Appends a variable, whatever is there: of two of one name the last one counts."""
    entry: dict[str, Any] = {"name": name}
    if value_from is not None:
        entry["valueFrom"] = value_from
    elif value:
        entry["value"] = value
    container.setdefault("env", [])
    if container["env"] is None:
        container["env"] = []
    container["env"].append(entry)


def default_env(container: Container, name: str, value: str) -> None:
    """Sets a variable that the user has not set."""
    if not has_env(container, name):
        add_env(container, name, value)


def add_env_of_field(container: Container, name: str, path: str) -> None:
    """Appends a variable with the value of one of the Pod's own fields."""
    add_env(container, name, value_from={"fieldRef": {"fieldPath": path}})


def port_named(container: Container, name: str) -> int | None:
    """The number of the container's port of that name."""
    return next((int(port["containerPort"]) for port in container.get("ports") or () if port.get("name") == name), None)


def append(holder: dict[str, Any], key: str, item: Any) -> None:
    """Adds to a list that may be absent or null."""
    if not holder.get(key):
        holder[key] = []
    holder[key].append(item)


def mount(container: Container, volume: str, path: str, *, sub_path: str = "", read_only: bool = False) -> None:
    """Adds a volume mount."""
    entry: dict[str, Any] = {"name": volume, "mountPath": path}
    if sub_path:
        entry["subPath"] = sub_path
    if read_only:
        entry["readOnly"] = True
    append(container, "volumeMounts", entry)


def bash(*, login: bool, options: str = "") -> list[str]:
    """The command of a container whose one argument is a shell script."""
    return ["/bin/bash", f"-c{options}{'l' if login else ''}", "--"]

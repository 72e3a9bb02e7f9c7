"""Probes, and the handlers that probes and lifecycle hooks share."""

from __future__ import annotations

from typing import Final

from raysail.api.causes import forbidden, invalid, not_supported, required
from raysail.apiserver.kinds.fields import Faults, JsonMap, check_http_header, check_nonnegative, check_port

_HANDLERS: Final = ("exec", "httpGet", "tcpSocket", "grpc", "sleep")


def check_handler(handler: JsonMap, grace_seconds: int | None, at: str, faults: Faults) -> None:
    """Exactly one way to act."""
    given = [name for name in _HANDLERS if handler.get(name) is not None]
    if not given:
        faults.append(required(at, "must specify a handler type"))
        return
    faults.extend(forbidden(f"{at}.{name}", "may not specify more than 1 handler type") for name in given[1:])
    name, action, here = given[0], handler[given[0]], f"{at}.{given[0]}"
    if name == "exec":
        if not action.get("command"):
            faults.append(required(f"{here}.command"))
    elif name == "httpGet":
        _check_http(action, here, faults)
    elif name == "tcpSocket" or name == "grpc":
        check_port(action.get("port", 0), f"{here}.port", faults)
    elif grace_seconds is not None and not 0 <= action.get("seconds", 0) <= grace_seconds:
        text = f"must be non-negative and less than terminationGracePeriodSeconds ({grace_seconds})"
        faults.append(invalid(here, action.get("seconds", 0), text))


def _check_http(action: JsonMap, at: str, faults: Faults) -> None:
    if not action.get("path"):
        faults.append(required(f"{at}.path"))
    check_port(action.get("port", 0), f"{at}.port", faults)
    if action.get("scheme") not in ("HTTP", "HTTPS"):
        faults.append(not_supported(f"{at}.scheme", action.get("scheme", ""), ("HTTP", "HTTPS")))
    for header in action.get("httpHeaders") or ():
        check_http_header(header.get("name", ""), f"{at}.httpHeaders", faults)


def check_probes(container: JsonMap, grace_seconds: int | None, at: str, faults: Faults) -> None:
    """The three probes of a container."""
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        probe = container.get(name)
        if probe is None:
            continue
        here = f"{at}.{name}"
        check_handler(probe, grace_seconds, here, faults)
        for field in ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"):
            check_nonnegative(probe.get(field), f"{here}.{field}", faults)
        grace = probe.get("terminationGracePeriodSeconds")
        if grace is not None and grace <= 0:
            faults.append(invalid(f"{here}.terminationGracePeriodSeconds", grace, "must be greater than 0"))
        if name == "readinessProbe":
            if grace is not None:
                faults.append(invalid(f"{here}.terminationGracePeriodSeconds", grace, "must not be set for readinessProbes"))
        elif probe.get("successThreshold", 0) != 1:
            faults.append(invalid(f"{here}.successThreshold", probe.get("successThreshold", 0), "must be 1"))


def check_lifecycle(lifecycle: JsonMap, grace_seconds: int | None, system: str, at: str, faults: Faults) -> None:
    """Hooks and the stop signal. `system` is the Pod's `os.name`."""
    for name in ("postStart", "preStop"):
        if lifecycle.get(name) is not None:
            check_handler(lifecycle[name], grace_seconds, f"{at}.{name}", faults)
    signal = lifecycle.get("stopSignal")
    if signal is not None:
        here = f"{at}.stopSignal"
        if not system:
            faults.append(forbidden(here, "may not be set for containers with empty `spec.os.name`"))
        elif system == "windows" and signal not in ("SIGTERM", "SIGKILL"):
            faults.append(not_supported(here, signal, ("SIGKILL", "SIGTERM")))
        elif not signal.startswith("SIG"):
            faults.append(not_supported(here, signal, ()))

"""What the supervisor is told to start one container: command, environment, mounts, limits."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from raysail.api.core.containers import Container
from raysail.api.core.pod import Pod
from raysail.api.core.service import Service
from raysail.node import cgroups, resources, volumes
from raysail.node.capabilities import Capabilities
from raysail.node.environment import ConfigError, build, command_line
from raysail.node.sandbox import MARK
from raysail.node.settings import NodeSettings

PYTHON_ANNOTATION: Final = "raysail.io/python"
"""Names the interpreter in whose environment the Pod runs; without it, the one that raysail runs in."""

SHIMS: Final = Path(__file__).parent / "shims"
_PASSED_ON: Final = ("LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR")
_TERMINATION_LOG: Final = "/dev/termination-log"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the Pod runs, as far as its containers are concerned."""

    folder: Path
    address: str
    host_address: str
    hostname: str
    gpus: tuple[str, ...] = ()


def python_of(pod: Pod, settings: NodeSettings) -> str:
    """The interpreter of the Pod's Python environment. Raises ConfigError when the named one is not there."""
    named = (pod.metadata.annotations or {}).get(PYTHON_ANNOTATION, "")
    if not named:
        return settings.python
    path = Path(named)
    candidate = path / "bin" / "python" if path.is_dir() else path
    if not candidate.is_absolute() or not os.access(candidate, os.X_OK):
        raise ConfigError(f"annotation {PYTHON_ANNOTATION}: {named} is not the absolute path of a Python interpreter or environment")
    return str(candidate)


def describe_environment(python: str) -> str:
    """For conditions and events: which Python environment runs in place of the image."""
    return f"the Python environment {Path(python).parent.parent}"


def base_environment(
    pod: Pod, container: Container, place: Place, settings: NodeSettings, capabilities: Capabilities, python: str
) -> dict[str, str]:
    """The agent's own variables: who and where the Pod is, and what makes Ray behave on a shared machine."""
    env = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    bin_folder = str(Path(python).parent)
    shims = [str(SHIMS / "ray")] + ([] if shutil.which("wget") else [str(SHIMS / "fallback")])
    memory = resources.nominal_memory_bytes(container, settings.default_memory_bytes)
    grace = 30 if pod.spec.termination_grace_period_seconds is None else pod.spec.termination_grace_period_seconds
    env |= {
        "PATH": os.pathsep.join([*shims, bin_folder, os.environ.get("PATH", os.defpath)]),
        "HOME": str(place.folder / "home"),
        "HOSTNAME": place.hostname,
        "KUBERNETES_SERVICE_HOST": settings.api_host,
        "KUBERNETES_SERVICE_PORT": str(settings.api_port),
        "KUBERNETES_SERVICE_PORT_HTTPS": str(settings.api_port),
        "KUBERNETES_PORT": f"tcp://{settings.api_host}:{settings.api_port}",
        MARK: pod.metadata.uid,
        "RAYSAIL_PYTHON": python,
        "RAYSAIL_RAY_CPUS": str(resources.nominal_cpus(container, settings.default_cpus)),
        "RAYSAIL_RAY_MEMORY_BYTES": str(memory),
        "RAYSAIL_RAY_OBJECT_STORE_BYTES": str(resources.object_store_bytes(memory)),
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": str(max(1, grace - 5)),
        # The first driver of a head is its own agent, which runs no tasks: it must not wait for a worker that is not for it, and jobs for it.
        "RAY_prestart_worker_first_driver": "0",
        **settings.pod_environment,
    }
    if settings.warm_ray:
        env["RAYSAIL_RAY_LAUNCHER"] = str(launcher_socket(settings, python))
    if not (capabilities.cgroups.memory and resources.memory_limit_bytes(container)):
        # Ray would look at the whole machine's memory and kill this Pod's tasks for what others take.
        env["RAY_memory_monitor_refresh_ms"] = "0"
    env["CUDA_VISIBLE_DEVICES"] = ",".join(place.gpus)
    if not capabilities.gpus:
        del env["CUDA_VISIBLE_DEVICES"]
    return env


def launcher_folder(settings: NodeSettings) -> Path:
    """Where the warm launcher's socket is; the one part of the runtime folder that Pods see."""
    return settings.run / "ray"


def launcher_socket(settings: NodeSettings, python: str) -> Path:
    """The launcher of one Python environment."""
    return launcher_folder(settings) / f"{hashlib.sha256(python.encode()).hexdigest()[:8]}.sock"


def finish_environment(env: dict[str, str], pod: Pod, place: Place, capabilities: Capabilities) -> None:
    """What no container may override: its address, and how it is enforced."""
    if pod.spec.host_network or not capabilities.preload:
        return
    env["RAYSAIL_POD_IP"] = place.address
    env["LD_PRELOAD"] = ":".join(filter(None, (capabilities.preload, env.get("LD_PRELOAD", ""))))
    env["RAY_LD_PRELOAD_ON_WORKERS"] = "1"
    if not capabilities.sandbox:
        env["RAYSAIL_HOSTS_FILE"] = str(place.folder / "hosts")
        env["RAYSAIL_POD_HOSTNAME"] = place.hostname


def specification(
    pod: Pod,
    container: Container,
    number: int,
    place: Place,
    services: Iterable[Service],
    objects: volumes.Objects,
    settings: NodeSettings,
    capabilities: Capabilities,
    machine_memory_bytes: int,
) -> dict[str, Any]:
    """The whole of `supervisor.container`'s spec; makes the folders that it names. Raises ConfigError, VolumeError, OSError."""
    python = python_of(pod, settings)
    env = build(pod, container, base_environment(pod, container, place, settings, capabilities, python), services, objects.sources)
    finish_environment(env, pod, place, capabilities)
    argv = command_line(container, env)
    if not argv:
        raise ConfigError("no command specified: images are not pulled, so there is no entrypoint to fall back to; set `command` or `args`")
    own = place.folder / "containers" / container.name
    private = own / f"{number}.tmp"
    for folder in (private, place.folder / "home", place.folder / "logs" / container.name):
        folder.mkdir(parents=True, exist_ok=True)
    private.chmod(0o1777)
    termination = own / f"{number}.termination"
    termination.touch()
    folders, cgroup_mounts = cgroups.create(
        capabilities.cgroups,
        cgroup_name(pod, container.name, number),
        cgroups.Limits(resources.memory_limit_bytes(container), resources.cpu_request_milli(container)),
    )
    cwd = container.working_dir or str(place.folder / "home")
    mounts = volumes.mounts(settings.pods, pod, container, env, objects) if capabilities.sandbox else []
    if capabilities.sandbox:
        mounts += cgroup_mounts
        mounts += _own_mounts(pod, container, place, settings, private, termination, {m["target"] for m in mounts}, python)
        if (
            container.working_dir
            and not Path(cwd).is_dir()
            and not any(cwd == m["target"] or cwd.startswith(m["target"] + "/") for m in mounts)
        ):
            work = own / f"{number}.work"
            work.mkdir(exist_ok=True)
            mounts.append({"source": str(work), "target": cwd})
    else:
        env["TMPDIR"] = str(private)
        # Short: Ray's socket paths add about 60 characters and may have 107.
        env["RAYSAIL_RAY_TEMP_DIR"] = str(settings.run / "t" / pod.metadata.uid[:8])
    return {
        "argv": argv,
        "env": env,
        "cwd": cwd,
        "mounts": mounts,
        "mount_namespace": capabilities.sandbox,
        "cgroups": folders,
        "oom_score_adj": resources.oom_score_adjustment(pod, container, machine_memory_bytes),
        "log_folder": str(place.folder / "logs" / container.name),
        "log_name": f"{number}.log",
        "log_max_bytes": settings.log_max_bytes,
        "log_files": settings.log_files,
        "stdin": container.stdin,
        "stdin_once": container.stdin_once,
        "tty": container.tty,
        "termination_message": str(termination),
    }


def cgroup_name(pod: Pod, container: str = "", number: int = 0) -> str:
    """The Pod's group, or a container's below it."""
    group = f"raysail/{pod.metadata.uid}"
    return f"{group}/{container}-{number}" if container else group


def _own_mounts(
    pod: Pod,
    container: Container,
    place: Place,
    settings: NodeSettings,
    private: Path,
    termination: Path,
    taken: set[str],
    python: str,
) -> list[dict[str, Any]]:
    """What every container has: its own /tmp, /dev/shm, hosts file and home; the state directory and the sockets of raysail out of its sight."""
    wanted: list[dict[str, Any]] = [
        {"source": str(private), "target": "/tmp"},  # noqa: S108 - inside the container
        {"source": str(place.folder / "shm"), "target": "/dev/shm"},  # noqa: S108 - inside the container
        {"source": str(place.folder / "hosts"), "target": "/etc/hosts"},
        {"source": str(termination), "target": container.termination_message_path or _TERMINATION_LOG},
    ]
    home, run = os.path.realpath(settings.home), os.path.realpath(settings.run)
    hidden = ["/tmp", home, run]  # noqa: S108 - as above
    wanted += [{"target": path, "size_bytes": 1 << 20} for path in (home, run)]
    shown = [str(place.folder / "home"), *_needed(python)]
    launcher = launcher_folder(settings)
    if settings.warm_ray:
        launcher.mkdir(parents=True, exist_ok=True, mode=0o700)
        shown.append(str(launcher))
    for path in shown:
        real = os.path.realpath(path)
        if any(real == h or real.startswith(h + "/") for h in hidden):
            wanted.append({"source": real, "target": real})
    return [mount for mount in wanted if mount["target"] not in taken and not (mount["target"] == "/etc/hosts" and pod.spec.host_network)]


def _needed(python: str) -> list[str]:
    """The folders without which the Pod's interpreter, and raysail's own programs for Pods, do not run."""
    places = [Path(python).parent.parent, Path(os.path.realpath(python)).parent.parent, Path(__file__).parents[1]]
    if python == sys.executable:
        places += [Path(sys.prefix), Path(sys.base_prefix)]
        places += [Path(entry) for entry in sys.path if entry and Path(entry).is_dir()]
    found = sorted({os.path.realpath(p) for p in places}, key=len)
    return [p for at, p in enumerate(found) if not any(p.startswith(outer + "/") for outer in found[:at])]


def hostname_of(pod: Pod) -> str:
    """The Pod's host name: `spec.hostname`, else its own name, at most 63 characters (pkg/kubelet/util)."""
    return (pod.spec.hostname or pod.metadata.name)[:63].rstrip("-.")

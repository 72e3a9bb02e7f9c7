"""What kube-controller-manager and kube-scheduler do on a real cluster, as small controllers that speak only the API. Absent on Kubernetes.

One package per controller. They are imported when asked for: a process that runs none of them loads none of them.
"""

from __future__ import annotations

from collections.abc import Collection
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from raysail.builtin.settings import BuiltinSettings
    from raysail.kube.manager import Manager

CONTROLLERS: Final = {
    "gc": "garbage",
    "namespace": "namespaces",
    "serviceaccount": "serviceaccounts",
    "node": "nodes",
    "podgc": "podgc",
    "eventttl": "eventttl",
    "endpointslice": "endpoints",
    "binder": "binder",
    "pvc": "volumes",
    "resourcequota": "quotas",
    "job": "jobs",
    "cronjob": "cronjobs",
    "replicaset": "replicasets",
    "deployment": "deployments",
    "disruption": "disruption",
    "statefulset": "statefulsets",
}
"""The names by which they are switched on, and where they are."""


def register(manager: Manager, settings: BuiltinSettings, names: Collection[str]) -> None:
    """Adds the named controllers to a process. Raises KeyError for a name that is not in CONTROLLERS."""
    for name in sorted(names):
        module = import_module(f"{__name__}.{CONTROLLERS[name]}")
        module.register(manager, settings)

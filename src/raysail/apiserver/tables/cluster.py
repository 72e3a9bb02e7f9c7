"""Columns of the kinds around Pods: nodes, namespaces, configuration, volumes, access, events, leases."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from raysail.apiserver.tables.columns import AGE, NAME, NONE, UNKNOWN, Column, Columns, dig, field_, since

Obj = Mapping[str, Any]
_ROLE_LABEL = "node-role.kubernetes.io/"
_UNSET = "<unset>"
_MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}


def _node_status(node: Obj, _: datetime) -> str:
    ready = next((c for c in dig(node, ["status", "conditions"], []) if c["type"] == "Ready"), None)
    status = "Unknown" if ready is None else "Ready" if ready["status"] == "True" else "NotReady"
    return f"{status},SchedulingDisabled" if node["spec"].get("unschedulable") else status


def _node_roles(node: Obj, _: datetime) -> str:
    labels = node["metadata"].get("labels") or {}
    roles = {key.removeprefix(_ROLE_LABEL) for key in labels if key.startswith(_ROLE_LABEL)} | {
        labels[k] for k in labels if k == "kubernetes.io/role"
    }
    return ",".join(sorted(role for role in roles if role)) or NONE


def _node_address(kind: str) -> Column:
    def address(node: Obj, _: datetime) -> str:
        return next((a["address"] for a in dig(node, ["status", "addresses"], []) if a["type"] == kind), NONE)

    return Column("Internal-IP" if kind == "InternalIP" else "External-IP", "core.v1.NodeStatus.addresses", address, wide=True)


def _kernel(node: Obj, _: datetime) -> str:
    info = dig(node, ["status", "nodeInfo"], {})
    architecture = f" ({info['architecture']})" if info.get("architecture") else ""
    return f"{info.get('kernelVersion') or UNKNOWN}{architecture}"


def _count(key: str) -> Any:
    return lambda obj, _: len(obj.get("data") or {}) + len(obj.get(key) or {})


def _modes(path: str) -> Any:
    keys = path.split(".")
    return lambda obj, _: ",".join(_MODES[mode] for mode in _MODES if mode in dig(obj, keys, []))


def _phase(obj: Obj, _: datetime) -> str:
    return "Terminating" if obj["metadata"].get("deletionTimestamp") else str(dig(obj, ["status", "phase"]))


def _claim(volume: Obj, _: datetime) -> str:
    claim = volume["spec"].get("claimRef")
    return f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else ""


def _claim_capacity(claim: Obj, _: datetime) -> str:
    return str(dig(claim, ["status", "capacity", "storage"], "0")) if claim["spec"].get("volumeName") else ""


def _claim_modes(claim: Obj, now: datetime) -> str:
    return str(_modes("status.accessModes")(claim, now)) if claim["spec"].get("volumeName") else ""


def _subjects(kind: str) -> Any:
    def names(binding: Obj, _: datetime) -> str:
        found = [s for s in binding.get("subjects") or () if s.get("kind") == kind]
        return ", ".join(f"{s.get('namespace', '')}/{s['name']}" if kind == "ServiceAccount" else s["name"] for s in found)

    return names


def _binding(kind: str) -> Columns:
    owner = "roleBinding" if kind == "RoleBinding" else "clusterRoleBinding"
    return Columns(
        (
            NAME,
            Column("Role", f"rbac.v1.{kind}.roleRef", lambda obj, _: f"{obj['roleRef']['kind']}/{obj['roleRef']['name']}"),
            AGE,
            Column("Users", f"Users in the {owner}", _subjects("User"), wide=True),
            Column("Groups", f"Groups in the {owner}", _subjects("Group"), wide=True),
            Column("ServiceAccounts", f"ServiceAccounts in the {owner}", _subjects("ServiceAccount"), wide=True),
        )
    )


def _quota(limits: bool) -> Any:
    def text(quota: Obj, _: datetime) -> str:
        hard, used = dig(quota, ["status", "hard"], {}), dig(quota, ["status", "used"], {})
        return ", ".join(f"{name}: {used.get(name, '0')}/{hard[name]}" for name in sorted(hard) if name.startswith("limits.") is limits)

    return text


def _event_first(event: Obj, now: datetime) -> str:
    return since(event.get("firstTimestamp") or event.get("deprecatedFirstTimestamp") or event.get("eventTime"), now)


def _event_last(event: Obj, now: datetime) -> str:
    if event.get("series"):
        return since(event["series"].get("lastObservedTime"), now)
    last = event.get("lastTimestamp") or event.get("deprecatedLastTimestamp")
    return since(last, now) if last else _event_first(event, now)


def _event_object(event: Obj, _: datetime) -> str:
    about = event.get("involvedObject") or event.get("regarding") or {}
    kind = about.get("kind", "").lower()
    return f"{kind}/{about['name']}" if about.get("name") else kind


def _event_source(event: Obj, _: datetime) -> str:
    source = event.get("source") or event.get("deprecatedSource") or {}
    component = source.get("component") or event.get("reportingComponent") or event.get("reportingController") or ""
    host = source.get("host") or event.get("reportingInstance") or ""
    return f"{component}, {host}" if host else component


def _event_count(event: Obj, _: datetime) -> int:
    return int((event.get("series") or {}).get("count") or event.get("count") or event.get("deprecatedCount") or 1)


NODES = Columns(
    (
        NAME,
        Column("Status", "The status of the node", _node_status),
        Column("Roles", "The roles of the node", _node_roles),
        AGE,
        Column("Version", "core.v1.NodeSystemInfo.kubeletVersion", field_("status.nodeInfo.kubeletVersion")),
        _node_address("InternalIP"),
        _node_address("ExternalIP"),
        Column(
            "OS-Image", "core.v1.NodeSystemInfo.osImage", lambda obj, _: dig(obj, ["status", "nodeInfo", "osImage"]) or UNKNOWN, wide=True
        ),
        Column("Kernel-Version", "core.v1.NodeSystemInfo.kernelVersion", _kernel, wide=True),
        Column(
            "Container-Runtime",
            "core.v1.NodeSystemInfo.containerRuntimeVersion",
            lambda obj, _: dig(obj, ["status", "nodeInfo", "containerRuntimeVersion"]) or UNKNOWN,
            wide=True,
        ),
    )
)
NAMESPACES = Columns((NAME, Column("Status", "The status of the namespace", field_("status.phase")), AGE))
CONFIG_MAPS = Columns((NAME, Column("Data", "core.v1.ConfigMap.data", _count("binaryData")), AGE))
SECRETS = Columns((NAME, Column("Type", "core.v1.Secret.type", field_("type")), Column("Data", "core.v1.Secret.data", _count("")), AGE))
SERVICE_ACCOUNTS = Columns((NAME, AGE))
EVENTS = Columns(
    (
        Column("Last Seen", "core.v1.Event.lastTimestamp", _event_last),
        Column("Type", "core.v1.Event.type", field_("type")),
        Column("Reason", "core.v1.Event.reason", field_("reason")),
        Column("Object", "core.v1.Event.involvedObject", _event_object),
        Column(
            "Subobject",
            "core.v1.ObjectReference.fieldPath",
            lambda obj, _: (obj.get("involvedObject") or obj.get("regarding") or {}).get("fieldPath", ""),
            wide=True,
        ),
        Column("Source", "core.v1.Event.source", _event_source, wide=True),
        Column("Message", "core.v1.Event.message", lambda obj, _: (obj.get("message") or obj.get("note") or "").strip()),
        Column("First Seen", "core.v1.Event.firstTimestamp", _event_first, wide=True),
        Column("Count", "core.v1.Event.count", _event_count, wide=True),
        Column("Name", "meta.v1.ObjectMeta.name", field_("metadata.name"), format="name", wide=True),
    )
)
PERSISTENT_VOLUMES = Columns(
    (
        NAME,
        Column("Capacity", "core.v1.PersistentVolumeSpec.capacity", field_("spec.capacity.storage", "0")),
        Column("Access Modes", "core.v1.PersistentVolumeSpec.accessModes", _modes("spec.accessModes")),
        Column(
            "Reclaim Policy", "core.v1.PersistentVolumeSpec.persistentVolumeReclaimPolicy", field_("spec.persistentVolumeReclaimPolicy")
        ),
        Column("Status", "core.v1.PersistentVolumeStatus.phase", _phase),
        Column("Claim", "core.v1.PersistentVolumeSpec.claimRef", _claim),
        Column("StorageClass", "StorageClass of the pv", field_("spec.storageClassName")),
        Column("VolumeAttributesClass", "VolumeAttributesClass of the pv", field_("spec.volumeAttributesClassName", _UNSET)),
        Column("Reason", "core.v1.PersistentVolumeStatus.reason", field_("status.reason")),
        AGE,
        Column("VolumeMode", "core.v1.PersistentVolumeSpec.volumeMode", field_("spec.volumeMode", _UNSET), wide=True),
    )
)
PERSISTENT_VOLUME_CLAIMS = Columns(
    (
        NAME,
        Column("Status", "core.v1.PersistentVolumeClaimStatus.phase", _phase),
        Column("Volume", "core.v1.PersistentVolumeClaimSpec.volumeName", field_("spec.volumeName")),
        Column("Capacity", "core.v1.PersistentVolumeClaimStatus.capacity", _claim_capacity),
        Column("Access Modes", "core.v1.PersistentVolumeClaimStatus.accessModes", _claim_modes),
        Column("StorageClass", "StorageClass of the pvc", field_("spec.storageClassName")),
        Column("VolumeAttributesClass", "VolumeAttributesClass of the pvc", field_("spec.volumeAttributesClassName", _UNSET)),
        AGE,
        Column("VolumeMode", "core.v1.PersistentVolumeClaimSpec.volumeMode", field_("spec.volumeMode", _UNSET), wide=True),
    )
)
ROLE_BINDINGS = _binding("RoleBinding")
CLUSTER_ROLE_BINDINGS = _binding("ClusterRoleBinding")
RESOURCE_QUOTAS = Columns(
    (
        NAME,
        Column("Request", "Request represents a minimum amount of cpu/memory that a container may consume.", _quota(False)),
        Column(
            "Limit",
            "Limits control the maximum amount of cpu/memory that a container may use independent of contention on the node.",
            _quota(True),
        ),
        AGE,
    )
)
PRIORITY_CLASSES = Columns(
    (
        NAME,
        Column("Value", "scheduling.v1.PriorityClass.value", field_("value", 0), type="integer"),
        Column("Global-Default", "scheduling.v1.PriorityClass.globalDefault", field_("globalDefault", False), type="boolean"),
        AGE,
        Column("PreemptionPolicy", "scheduling.v1.PriorityClass.preemptionPolicy", field_("preemptionPolicy")),
    )
)
LEASES = Columns((NAME, Column("Holder", "coordination.v1.LeaseSpec.holderIdentity", field_("spec.holderIdentity")), AGE))
RUNTIME_CLASSES = Columns((NAME, Column("Handler", "", field_("handler")), AGE))
POD_DISRUPTION_BUDGETS = Columns(
    (
        NAME,
        Column(
            "Min Available",
            "The minimum number of pods that must be available.",
            lambda obj, _: str(obj["spec"].get("minAvailable", "N/A")),
        ),
        Column(
            "Max Unavailable",
            "The maximum number of pods that may be unavailable.",
            lambda obj, _: str(obj["spec"].get("maxUnavailable", "N/A")),
        ),
        Column(
            "Allowed Disruptions",
            "Calculated number of pods that may be disrupted at this time.",
            field_("status.disruptionsAllowed", 0),
            type="integer",
        ),
        AGE,
    )
)
SCALES = Columns(
    (
        Column("Name", "meta.v1.ObjectMeta.name", field_("metadata.name")),
        Column("Desired", "autoscaling.v1.ScaleSpec.replicas", field_("spec.replicas", 0), type="integer"),
        Column("Available", "autoscaling.v1.ScaleStatus.replicas", field_("status.replicas", 0), type="integer"),
        AGE,
    )
)
STATUSES = Columns(
    (
        Column("Status", "meta.v1.Status.status", field_("status")),
        Column("Reason", "meta.v1.Status.reason", field_("reason")),
        Column("Message", "", field_("message")),
    )
)


def _webhooks(obj: Obj, _: datetime) -> int:
    return len(obj.get("webhooks") or ())


WEBHOOK_CONFIGURATIONS = Columns(
    (NAME, Column("Webhooks", "Webhooks indicates the number of webhooks registered in this configuration", _webhooks, type="integer"), AGE)
)

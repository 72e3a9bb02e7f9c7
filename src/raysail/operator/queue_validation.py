"""What Kueue refuses in its Configuration (pkg/config/validation.go), with Kueue's field paths and reasons.

Pure: takes a v1beta2 document with its defaults filled in, gives the faults. Devices have a module of their own (`device_validation`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from raysail.api.causes import duplicate, forbidden, invalid, not_supported, required
from raysail.api.errors import Cause
from raysail.api.kueue.configuration import INCREMENTAL_DISPATCHER
from raysail.api.names import label_1035_faults, label_key_faults, label_selector_causes, label_value_faults, subdomain_faults
from raysail.api.selectors import SelectorError, from_object
from raysail.operator.device_validation import device_faults
from raysail.operator.documents import parse_duration
from raysail.operator.feature_gates import is_on

Json = Mapping[str, Any]

FRAMEWORKS: Final = {
    "batch/job": "Job.v1.batch",
    "deployment": "Deployment.v1.apps",
    "jobset.x-k8s.io/jobset": "JobSet.v1alpha2.jobset.x-k8s.io",
    "kubeflow.org/jaxjob": "JAXJob.v1.kubeflow.org",
    "kubeflow.org/mpijob": "MPIJob.v2beta1.kubeflow.org",
    "kubeflow.org/paddlejob": "PaddleJob.v1.kubeflow.org",
    "kubeflow.org/pytorchjob": "PyTorchJob.v1.kubeflow.org",
    "kubeflow.org/tfjob": "TFJob.v1.kubeflow.org",
    "kubeflow.org/xgboostjob": "XGBoostJob.v1.kubeflow.org",
    "leaderworkerset.x-k8s.io/leaderworkerset": "LeaderWorkerSet.v1.leaderworkerset.x-k8s.io",
    "pod": "Pod.v1.",
    "ray.io/raycluster": "RayCluster.v1.ray.io",
    "ray.io/rayjob": "RayJob.v1.ray.io",
    "ray.io/rayservice": "RayService.v1.ray.io",
    "sparkoperator.k8s.io/sparkapplication": "SparkApplication.v1beta2.sparkoperator.k8s.io",
    "statefulset": "StatefulSet.v1.apps",
    "trainer.kubeflow.org/trainjob": "TrainJob.v1alpha1.trainer.kubeflow.org",
    "workload.codeflare.dev/appwrapper": "AppWrapper.v1beta2.workload.codeflare.dev",
}
"""Names of integrations, and the kind each is for."""

STRATEGY_SETS: Final = (
    ("LessThanOrEqualToFinalShare",),
    ("LessThanInitialShare",),
    ("LessThanOrEqualToFinalShare", "LessThanInitialShare"),
)
MAX_WORKLOAD_LABELS: Final = 2
MAX_LABELS: Final = 6
_NEGATIVE: Final = "must be greater than or equal to 0"
_KIND: Final = re.compile(r"[^.]+\.[^.]+\..+")
_METRIC_LABEL: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9_]*", re.ASCII)
_CURVES: Final = (23, 24, 25, 29, 4587, 4588, 4589)
_KEY_EXCHANGES: Final = ("ECDHE_RSA", "ECDHE_ECDSA", "RSA")
_CIPHERS: Final = frozenset(
    {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
    | {
        f"TLS_{exchange}_WITH_{cipher}"
        for exchange in _KEY_EXCHANGES
        for cipher in (
            "AES_128_CBC_SHA",
            "AES_256_CBC_SHA",
            "AES_128_CBC_SHA256",
            "AES_128_GCM_SHA256",
            "AES_256_GCM_SHA384",
            "CHACHA20_POLY1305_SHA256",
            "3DES_EDE_CBC_SHA",
            "RC4_128_SHA",
        )
    }
)


def validate(config: Json, gates: Mapping[str, bool] | None = None) -> list[Cause]:
    """All faults of a configuration. `gates`: the feature gates that are not at their default."""
    gates = gates or {}
    return [
        *_pods_ready(config.get("waitForPodsReady") or {}),
        *_integrations(config.get("integrations")),
        *_multi_kueue(config.get("multiKueue") or {}),
        *_fair_sharing(config.get("fairSharing")),
        *_admission_fair_sharing(config.get("admissionFairSharing")),
        *_certificates(config.get("internalCertManagement") or {}),
        *_transformations(config.get("resources") or {}, gates),
        *device_faults((config.get("resources") or {}).get("deviceClassMappings") or (), gates),
        *_namespaces(config),
        *_retention(((config.get("objectRetentionPolicies") or {}).get("workloads")) or {}),
        *_tls(config.get("tls") or {}),
        *custom_label_faults((config.get("metrics") or {}).get("customLabels") or ()),
    ]


def custom_label_faults(labels: Sequence[Json]) -> list[Cause]:
    """Faults of metrics.customLabels."""
    faults: list[Cause] = []
    counts: dict[str, int] = {}
    for at, label in enumerate(labels):
        path = f"metrics.customLabels[{at}]"
        name, kind = label.get("name") or "", label.get("sourceKind") or "ClusterQueue"
        counts[kind] = counts.get(kind, 0) + 1
        if not _METRIC_LABEL.fullmatch(name):
            faults.append(invalid(f"{path}.name", name, "must match ^[a-zA-Z][a-zA-Z0-9_]*$"))
        by_label, by_annotation = label.get("sourceLabelKey") or "", label.get("sourceAnnotationKey") or ""
        if by_label and by_annotation:
            faults.append(invalid(path, name, "sourceLabelKey and sourceAnnotationKey are mutually exclusive"))
        if by_annotation:
            faults += [invalid(f"{path}.sourceAnnotationKey", by_annotation, detail) for detail in label_key_faults(by_annotation)]
        elif by_label:
            faults += [invalid(f"{path}.sourceLabelKey", by_label, detail) for detail in label_key_faults(by_label)]
        elif not name:
            faults += [invalid(f"{path}.name", name, "; ".join(label_key_faults(name)))]
        values = label.get("trackedValues") or []
        if len(set(values)) != len(values):
            faults.append(invalid(f"{path}.trackedValues", values, "must not contain duplicates"))
    for kind, count in counts.items():
        most = MAX_WORKLOAD_LABELS if kind == "Workload" else MAX_LABELS
        if count > most:
            text = f"too many custom labels for source kind {kind}: found {count}, expected <= {most}"
            faults.append(invalid("metrics.customLabels", count, text))
    return faults


def _pods_ready(section: Json) -> Iterator[Cause]:
    yield from _not_negative(section, "waitForPodsReady", "timeout", "recoveryTimeout")
    strategy = section.get("requeuingStrategy") or {}
    path = "waitForPodsReady.requeuingStrategy"
    if strategy.get("timestamp") not in (None, "Creation", "Eviction"):
        yield not_supported(f"{path}.timestamp", strategy["timestamp"], ("Creation", "Eviction"))
    for name in ("backoffLimitCount", "backoffBaseSeconds", "backoffMaxSeconds"):
        if (strategy.get(name) or 0) < 0:
            yield invalid(f"{path}.{name}", strategy[name], _NEGATIVE)


def _integrations(section: Json | None) -> Iterator[Cause]:
    if section is None:
        yield required("integrations", "cannot be empty")
        return
    if section.get("frameworks") is None:
        yield required("integrations.frameworks", "cannot be empty")
        return
    seen: set[str] = set()
    for at, name in enumerate(section["frameworks"]):
        path = f"integrations.frameworks[{at}]"
        if name not in FRAMEWORKS:
            yield not_supported(path, name, sorted(FRAMEWORKS))
        elif FRAMEWORKS[name] in seen:
            yield duplicate(path, name)
        seen.add(FRAMEWORKS.get(name, ""))
    for at, name in enumerate(section.get("externalFrameworks") or ()):
        path = f"integrations.externalFrameworks[{at}]"
        if not _KIND.fullmatch(name):
            yield invalid(path, name, "must be format, 'Kind.version.group.com'")
        elif name in seen:
            yield duplicate(path, name)
        seen.add(name)


def _multi_kueue(section: Json) -> Iterator[Cause]:
    yield from _not_negative(section, "multiKueue", "gcInterval", "workerLostTimeout")
    for detail in label_value_faults(section.get("origin") or ""):
        yield invalid("multiKueue.origin", section["origin"], detail)
    stepping = section.get("incrementalDispatcherConfig")
    if stepping is not None:
        path = "multiKueue.incrementalDispatcherConfig"
        if section.get("dispatcherName") != INCREMENTAL_DISPATCHER:
            yield invalid(path, stepping, f"can only be set when dispatcherName is {INCREMENTAL_DISPATCHER}")
        elif stepping.get("stepSize") is not None and stepping["stepSize"] < 1:
            yield invalid(f"{path}.stepSize", stepping["stepSize"], "must be greater than or equal to 1")
    profile = section.get("clusterProfile") or {}
    access, credentials = profile.get("accessProviders"), profile.get("credentialsProviders")
    path = "multiKueue.clusterProfile"
    if access and credentials:
        yield forbidden(f"{path}.credentialsProviders", "cannot be set together with accessProviders")
        return
    for name, providers in (("accessProviders", access), ("credentialsProviders", credentials)):
        for provider in providers or ():
            yield from _provider(provider, f"{path}.{name}")


def _provider(provider: Json, path: str) -> Iterator[Cause]:
    if not provider.get("name"):
        yield required(f"{path}.name")
    plugin = provider.get("execConfig")
    if plugin is None:
        yield required(f"{path}.execConfig")
        return
    for name in ("command", "apiVersion"):
        if not plugin.get(name):
            yield required(f"{path}.execConfig.{name}")
    mode = plugin.get("interactiveMode")
    if not mode:
        yield required(f"{path}.execConfig.interactiveMode")
    elif mode not in ("Never", "IfAvailable", "Always"):
        yield not_supported(f"{path}.execConfig.interactiveMode", mode, ("Never", "IfAvailable", "Always"))
    for variable in plugin.get("env") or ():
        if not variable.get("name"):
            yield required(f"{path}.execConfig.env.name")


def _fair_sharing(section: Json | None) -> Iterator[Cause]:
    if section is None:
        return
    strategies = tuple(section.get("preemptionStrategies") or ())
    path = "fairSharing.preemptionStrategies"
    if not strategies:
        yield required(path, "cannot be empty")
    elif strategies not in STRATEGY_SETS:
        yield not_supported(path, list(strategies), [",".join(known) for known in STRATEGY_SETS])


def _admission_fair_sharing(section: Json | None) -> Iterator[Cause]:
    if section is None:
        return
    yield from _not_negative(section, "admissionFairSharing", "usageHalfLifeTime")
    sampling = section.get("usageSamplingInterval") or "0s"
    if _seconds(sampling) <= 0:
        yield invalid("admissionFairSharing.usageSamplingInterval", sampling, "must be greater than 0")
    for name, weight in (section.get("resourceWeights") or {}).items():
        if weight < 0:
            yield invalid(f"admissionFairSharing.resourceWeights[{name}]", weight, _NEGATIVE)


def _certificates(section: Json) -> Iterator[Cause]:
    if not section.get("enable"):
        return
    for name, check in (("webhookServiceName", label_1035_faults), ("webhookSecretName", subdomain_faults)):
        value = section.get(name)
        if value is not None and (details := check(value)):
            yield invalid(f"internalCertManagement.{name}", value, ",".join(details))


def _transformations(section: Json, gates: Mapping[str, bool]) -> Iterator[Cause]:
    seen: set[str] = set()
    for at, entry in enumerate(section.get("transformations") or ()):
        path = f"resources.transformations[{at}]"
        if entry.get("strategy") not in ("Retain", "Replace"):
            yield not_supported(f"{path}.strategy", entry.get("strategy"), ("Retain", "Replace"))
        name = entry.get("input") or ""
        if name in seen:
            yield duplicate(f"{path}.input", name)
        seen.add(name)
    strategy = section.get("quotaCheckStrategy")
    if strategy is None or not is_on("QuotaCheckStrategy", gates):
        return
    if strategy not in ("BlockUndeclared", "IgnoreUndeclared"):
        yield not_supported("resources.quotaCheckStrategy", strategy, ("BlockUndeclared", "IgnoreUndeclared"))
    elif strategy == "IgnoreUndeclared" and section.get("excludeResourcePrefixes"):
        yield invalid("resources.excludeResourcePrefixes", section["excludeResourcePrefixes"], "cannot be used with IgnoreUndeclared")


def _namespaces(config: Json) -> Iterator[Cause]:
    selector, path = config.get("managedJobsNamespaceSelector"), "managedJobsNamespaceSelector"
    yield from label_selector_causes(selector, path)
    try:
        parsed = from_object(selector)
    except SelectorError:
        return
    for name in ("kube-system", config.get("namespace") or ""):
        if name and parsed.matches({"kubernetes.io/metadata.name": name}):
            yield invalid(path, selector, f'should not match the "{name}" namespace')


def _retention(section: Json) -> Iterator[Cause]:
    yield from _not_negative(section, "objectRetentionPolicies.workloads", "afterFinished", "afterDeactivatedByKueue")


def _tls(section: Json) -> Iterator[Cause]:
    version, ciphers = section.get("minVersion") or "", section.get("cipherSuites") or []
    if version == "VersionTLS13" and ciphers:
        yield invalid("tls.cipherSuites", ciphers, "may not be specified when minVersion is 'VersionTLS13'")
        return
    unknown = [name for name in ciphers if name not in _CIPHERS]
    curves = [number for number in section.get("curvePreferences") or () if number not in _CURVES]
    if version not in ("", "VersionTLS12", "VersionTLS13") or unknown or curves:
        yield invalid("tls", section, f"unknown: {', '.join(map(str, (*([version] if unknown else []), *unknown, *curves))) or version}")


def _not_negative(section: Json, path: str, *names: str) -> Iterator[Cause]:
    for name in names:
        value = section.get(name)
        if value is not None and _seconds(value) < 0:
            yield invalid(f"{path}.{name}", value, _NEGATIVE)


def _seconds(value: Any) -> float:
    try:
        return parse_duration(str(value))
    except ValueError:
        return 0.0  # told by whoever reads the value

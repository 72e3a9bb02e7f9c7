"""Kueue's Configuration file (config.kueue.x-k8s.io v1beta1 and v1beta2) as our settings.

Fields and defaults: Kueue apis/config/v1beta2/{configuration_types,defaults}.go. What only concerns Kueue's own process (webhook certificates, ports,
client rate limits, its leader election) is accepted and has no effect here; so are kinds of jobs that raysail cannot hold back, with a warning.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from raysail.api.kueue import configuration
from raysail.api.kueue.external import external_framework
from raysail.api.quantity import QuantityError, parse_nano
from raysail.api.selectors import from_object
from raysail.operator.documents import Section, read_document
from raysail.operator.feature_gates import gate_faults
from raysail.operator.queue_validation import validate
from raysail.operator.settings import SettingsError
from raysail.queue.metrics.settings import MetricsSettings
from raysail.queue.model.requests import ResourceRules, Transformation
from raysail.queue.model.usage_ledger import AdmissionFairSharing
from raysail.queue.multikueue.settings import MultiKueueSettings
from raysail.queue.settings import QueueSettings, RequeuingStrategy, WaitForPodsReady

logger = logging.getLogger(__name__)

VERSIONS: Final = (configuration.V1BETA1, configuration.V1BETA2)


def read_queue_configuration(path: Path) -> QueueSettings:
    """The settings in a file. Raises SettingsError."""
    return queue_settings(read_document(path), str(path))


def queue_settings(document: Mapping[str, Any], source: str = "configuration") -> QueueSettings:
    """The settings in a document. Raises SettingsError."""
    given = Section(source, document)
    version = given.text("apiVersion", configuration.V1BETA2, among=VERSIONS)
    given.text("kind", "Configuration", among=("Configuration",))
    named = given.section("integrations").texts("frameworks")
    try:
        complete = configuration.to_v1beta2(configuration.with_defaults(document, version))
        faults = [*validate(complete, given.flags("featureGates")), *gate_faults(given.flags("featureGates"))]
    except (TypeError, AttributeError, KeyError, ValueError) as error:
        raise SettingsError(f"{source}: not of the form of a {version} Configuration: {error}") from error
    if faults:
        raise SettingsError(f"{source}: " + "; ".join(f"{fault.field}: {fault.message}" for fault in faults))
    root = Section(source, complete)
    integrations = root.section("integrations")
    retention = root.section("objectRetentionPolicies").section("workloads")
    return QueueSettings(
        # Kueue holds back batch Jobs alone unless told otherwise; here Ray's kinds are what it is about.
        frameworks=named or QueueSettings().frameworks,
        external_frameworks=tuple(external_framework(text) for text in integrations.texts("externalFrameworks")),
        manage_jobs_without_queue_name=root.flag("manageJobsWithoutQueueName", False),
        managed_jobs_namespace_selector=from_object(root.section("managedJobsNamespaceSelector").content),
        label_keys_to_copy=integrations.texts("labelKeysToCopy"),
        annotation_keys_to_copy=integrations.texts("annotationKeysToCopy"),
        wait_for_pods_ready=_wait_for_pods_ready(root.section("waitForPodsReady")) if root.has("waitForPodsReady") else None,
        fair_sharing_strategies=root.section("fairSharing").texts("preemptionStrategies") if root.has("fairSharing") else None,
        admission_fair_sharing=_admission_fair_sharing(root),
        resources=_resources(root.section("resources")),
        multi_kueue=_multi_kueue(root),
        retention_after_finished_seconds=retention.seconds("afterFinished", 0.0) if retention.has("afterFinished") else None,
        retention_after_deactivated_seconds=(
            retention.seconds("afterDeactivatedByKueue", 0.0) if retention.has("afterDeactivatedByKueue") else None
        ),
        metrics=_metrics(root.section("metrics"), root.flags("featureGates")),
        feature_gates=root.flags("featureGates"),
        concurrency=_concurrency(root.section("controller").section("groupKindConcurrency")),
    )


def _multi_kueue(root: Section) -> MultiKueueSettings:
    section, standard = root.section("multiKueue"), MultiKueueSettings()
    return MultiKueueSettings(
        origin=section.text("origin", standard.origin),
        worker_lost_seconds=section.seconds("workerLostTimeout", standard.worker_lost_seconds),
        gc_interval_seconds=section.seconds("gcInterval", standard.gc_interval_seconds),
        dispatcher=section.text("dispatcherName", standard.dispatcher),
        step_size=section.section("incrementalDispatcherConfig").integer("stepSize", standard.step_size),
        secrets_namespace=root.text("namespace", standard.secrets_namespace),
    )


def _metrics(section: Section, gates: Mapping[str, bool]) -> MetricsSettings:
    local = section.section("localQueueMetrics")
    selector = local.section("localQueueSelector").content
    return MetricsSettings(
        cluster_queue_resources=section.flag("enableClusterQueueResources", False),
        local_queues=local.flag("enable", False) and gates.get("LocalQueueMetrics", True),
        local_queue_selector=from_object(selector) if selector else None,
    )


def _wait_for_pods_ready(section: Section) -> WaitForPodsReady:
    timeout = section.seconds("timeout", 1800.0)
    requeuing = section.section("requeuingStrategy")
    return WaitForPodsReady(
        timeout_seconds=timeout,
        recovery_timeout_seconds=section.seconds("recoveryTimeout", timeout) if section.has("recoveryTimeout") else None,
        block_admission=section.flag("blockAdmission", False),
        requeuing=RequeuingStrategy(
            timestamp=requeuing.text("timestamp", "Eviction"),
            backoff_limit_count=requeuing.integer("backoffLimitCount", 0) if requeuing.has("backoffLimitCount") else None,
            backoff_base_seconds=requeuing.integer("backoffBaseSeconds", 60),
            backoff_max_seconds=requeuing.integer("backoffMaxSeconds", 3600),
        ),
    )


def _admission_fair_sharing(root: Section) -> AdmissionFairSharing | None:
    if not root.has("admissionFairSharing"):
        return None
    section = root.section("admissionFairSharing")
    weights: dict[str, float] = {}
    for name, value in section.section("resourceWeights").content.items():
        if not isinstance(value, int | float) or isinstance(value, bool) or value < 0:
            raise section.section("resourceWeights").fault(name, "a number of at least 0")
        weights[name] = float(value)
    return AdmissionFairSharing(
        usage_half_life_seconds=section.seconds("usageHalfLifeTime", 0.0),
        usage_sampling_interval_seconds=section.seconds("usageSamplingInterval", 300.0),
        resource_weights=weights,
    )


def _resources(section: Section) -> ResourceRules:
    transformations: dict[str, Transformation] = {}
    for entry in section.sections("transformations"):
        name = entry.text("input")
        outputs: dict[str, int] = {}
        for output, quantity in entry.section("outputs").content.items():
            try:
                outputs[output] = parse_nano(quantity)
            except QuantityError as error:
                raise entry.section("outputs").fault(output, "a quantity") from error
        transformations[name] = Transformation(
            input=name,
            outputs=outputs,
            replace=entry.text("strategy", "Retain") == "Replace",
            multiply_by=entry.text("multiplyBy"),
        )
    return ResourceRules(
        excluded_prefixes=section.texts("excludeResourcePrefixes"),
        transformations=transformations,
        ignore_undeclared=section.text("quotaCheckStrategy") == "IgnoreUndeclared",
    )


def _concurrency(section: Section) -> dict[str, int]:
    return {kind: section.integer(kind, 1, least=1) for kind in section.content}

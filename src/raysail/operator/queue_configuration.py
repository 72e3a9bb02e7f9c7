"""Kueue's Configuration file (config.kueue.x-k8s.io v1beta1 and v1beta2) as our settings.

Fields and defaults: Kueue apis/config/v1beta2/{configuration_types,defaults}.go. What only concerns Kueue's own process (webhook certificates, ports,
client rate limits, its leader election) is accepted and has no effect here; so are kinds of jobs that raysail cannot hold back, with a warning.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from raysail.api.quantity import QuantityError, parse_nano
from raysail.api.selectors import Selector, SelectorError, from_object
from raysail.operator.documents import Section, read_document
from raysail.operator.settings import SettingsError
from raysail.queue.requests import ResourceRules, Transformation
from raysail.queue.settings import AdmissionFairSharing, QueueSettings, RequeuingStrategy, WaitForPodsReady

logger = logging.getLogger(__name__)

VERSIONS: Final = ("config.kueue.x-k8s.io/v1beta1", "config.kueue.x-k8s.io/v1beta2")
STRATEGIES: Final = ("LessThanOrEqualToFinalShare", "LessThanInitialShare")


def read_queue_configuration(path: Path) -> QueueSettings:
    """The settings in a file. Raises SettingsError."""
    return queue_settings(read_document(path), str(path))


def queue_settings(document: Mapping[str, Any], source: str = "configuration") -> QueueSettings:
    """The settings in a document. Raises SettingsError."""
    root = Section(source, document)
    version = root.text("apiVersion", VERSIONS[-1], among=VERSIONS)
    root.text("kind", "Configuration", among=("Configuration",))
    integrations = root.section("integrations")
    frameworks = integrations.texts("frameworks")
    if len(set(frameworks)) != len(frameworks):
        raise integrations.fault("frameworks", "a list without repetitions")
    retention = root.section("objectRetentionPolicies").section("workloads")
    settings = QueueSettings()
    return QueueSettings(
        frameworks=frameworks or settings.frameworks,
        manage_jobs_without_queue_name=root.flag("manageJobsWithoutQueueName", False),
        managed_jobs_namespace_selector=_selector(root, "managedJobsNamespaceSelector", settings.managed_jobs_namespace_selector),
        label_keys_to_copy=integrations.texts("labelKeysToCopy"),
        annotation_keys_to_copy=integrations.texts("annotationKeysToCopy"),
        wait_for_pods_ready=_wait_for_pods_ready(root, version),
        fair_sharing_strategies=_fair_sharing(root, version),
        admission_fair_sharing=_admission_fair_sharing(root),
        resources=_resources(root.section("resources")),
        retention_after_finished_seconds=retention.seconds("afterFinished", 0.0) if retention.has("afterFinished") else None,
        retention_after_deactivated_seconds=(
            retention.seconds("afterDeactivatedByKueue", 0.0) if retention.has("afterDeactivatedByKueue") else None
        ),
        feature_gates=root.flags("featureGates"),
        concurrency=_concurrency(root.section("controller").section("groupKindConcurrency")),
    )


def _wait_for_pods_ready(root: Section, version: str) -> WaitForPodsReady | None:
    section = root.section("waitForPodsReady")
    if version == VERSIONS[0]:
        # In v1beta1 it is off unless `enable` says otherwise, and then blocks admission by default.
        if not section.flag("enable", False):
            return None
        block = section.flag("blockAdmission", True)
        timeout = section.seconds("timeout", 300.0)
        recovery = section.seconds("recoveryTimeout", timeout) if section.has("recoveryTimeout") else None
    else:
        block = section.flag("blockAdmission", False)
        timeout = section.seconds("timeout", 1800.0)
        recovery = section.seconds("recoveryTimeout", timeout)
    requeuing = section.section("requeuingStrategy")
    return WaitForPodsReady(
        timeout_seconds=timeout,
        recovery_timeout_seconds=recovery,
        block_admission=block,
        requeuing=RequeuingStrategy(
            timestamp=requeuing.text("timestamp", "Eviction", among=("Eviction", "Creation")),
            backoff_limit_count=requeuing.integer("backoffLimitCount", 0) if requeuing.has("backoffLimitCount") else None,
            backoff_base_seconds=requeuing.integer("backoffBaseSeconds", 60),
            backoff_max_seconds=requeuing.integer("backoffMaxSeconds", 3600),
        ),
    )


def _fair_sharing(root: Section, version: str) -> tuple[str, ...] | None:
    if not root.has("fairSharing"):
        return None
    section = root.section("fairSharing")
    if version == VERSIONS[0] and not section.flag("enable", False):
        return None
    strategies = section.texts("preemptionStrategies")
    if any(strategy not in STRATEGIES for strategy in strategies):
        raise section.fault("preemptionStrategies", f"a list of {', '.join(STRATEGIES)}")
    if not strategies and version != VERSIONS[0]:
        raise SettingsError(f"{root.source}: fairSharing.preemptionStrategies: must be given; known: {', '.join(STRATEGIES)}")
    return strategies


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
        if not name or name in transformations:
            raise entry.fault("input", "the name of a resource that no other transformation has")
        outputs: dict[str, int] = {}
        for output, quantity in entry.section("outputs").content.items():
            try:
                outputs[output] = parse_nano(quantity)
            except QuantityError as error:
                raise entry.section("outputs").fault(output, "a quantity") from error
        transformations[name] = Transformation(
            input=name,
            outputs=outputs,
            replace=entry.text("strategy", "Retain", among=("Retain", "Replace")) == "Replace",
            multiply_by=entry.text("multiplyBy"),
        )
    strategy = section.text("quotaCheckStrategy", "BlockUndeclared", among=("BlockUndeclared", "IgnoreUndeclared"))
    excluded = section.texts("excludeResourcePrefixes")
    if strategy == "IgnoreUndeclared" and excluded:
        raise section.fault("excludeResourcePrefixes", "allowed together with quotaCheckStrategy IgnoreUndeclared")
    return ResourceRules(excluded_prefixes=excluded, transformations=transformations, ignore_undeclared=strategy == "IgnoreUndeclared")


def _concurrency(section: Section) -> dict[str, int]:
    return {kind: section.integer(kind, 1, least=1) for kind in section.content}


def _selector(root: Section, field: str, default: Selector) -> Selector:
    if not root.has(field):
        return default
    try:
        return from_object(root.section(field).content)
    except SelectorError as error:
        raise root.fault(field, f"a label selector: {error}") from error

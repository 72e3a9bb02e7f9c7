"""What Kueue refuses in its configuration file."""

from __future__ import annotations

from raysail.operator.feature_gates import gate_faults
from raysail.operator.queue_validation import validate
from tests.conformance.decisions.corpus import Case
from tests.conformance.decisions.webhooks import compare_causes


def refuses(case: Case) -> list[str]:
    return compare_causes(validate(case.given["cfg"], case.gates), case.want.get("wantErr"))


def refuses_labels(case: Case) -> list[str]:
    found = [cause for cause in validate(case.given["cfg"], case.gates) if cause.field.startswith("metrics.")]
    return compare_causes(found, case.want.get("wantErr"))


def refuses_devices(case: Case) -> list[str]:
    found = [cause for cause in validate(case.given["cfg"], case.gates) if cause.field.startswith("resources.deviceClassMappings")]
    return compare_causes(found, case.want.get("wantErr"))


def refuses_gates(case: Case) -> list[str]:
    return compare_causes(gate_faults(case.given.get("featureGateMap") or {}), case.want.get("wantErr"))


RUNNERS = {
    "config": {
        "TestValidate": refuses,
        "TestValidateCustomLabels": refuses_labels,
        "TestValidateDeviceClassMappings": refuses_devices,
        "TestLoadAndValidateFeatureGates": refuses_gates,
    }
}

"""Kueue's Configuration file: what is filled in, and the older version."""

from __future__ import annotations

import pytest

from raysail.api.kueue.configuration import V1BETA1, to_v1beta1, to_v1beta2, with_defaults
from raysail.api.kueue.visibility import pending_workloads_options


def test_waiting_for_pods_is_on_in_v1beta2_and_off_in_v1beta1() -> None:
    assert with_defaults({})["waitForPodsReady"]["timeout"] == "30m0s"
    assert with_defaults({})["waitForPodsReady"]["blockAdmission"] is False
    assert with_defaults({}, V1BETA1)["waitForPodsReady"] == {}
    switched_on = with_defaults({"waitForPodsReady": {"enable": True}}, V1BETA1)["waitForPodsReady"]
    assert (switched_on["timeout"], switched_on["blockAdmission"], switched_on["recoveryTimeout"]) == ("5m0s", True, "5m0s")


def test_what_is_said_stays_and_the_input_is_left_as_it_is() -> None:
    config = {"namespace": "mine", "integrations": {"frameworks": ["pod"]}, "clientConnection": {"qps": 0}}
    made = with_defaults(config)
    assert made["integrations"]["frameworks"] == ["pod"]
    assert made["clientConnection"] == {"qps": 0, "burst": 500}
    assert made["managedJobsNamespaceSelector"]["matchExpressions"][0]["values"] == ["kube-system", "mine"]
    assert config == {"namespace": "mine", "integrations": {"frameworks": ["pod"]}, "clientConnection": {"qps": 0}}


def test_switches_become_presence() -> None:
    old = {"apiVersion": V1BETA1, "fairSharing": {"enable": False}, "waitForPodsReady": {"enable": True, "timeout": "1m0s"}}
    new = to_v1beta2(old)
    assert "fairSharing" not in new
    assert new["waitForPodsReady"] == {"timeout": "1m0s", "blockAdmission": True}
    assert to_v1beta1(new)["waitForPodsReady"] == {"enable": True, "timeout": "1m0s", "blockAdmission": True}


def test_pending_workloads_come_in_pages() -> None:
    assert pending_workloads_options({}) == (0, 1000)
    assert pending_workloads_options({"limit": ["5"], "offset": ["10"]}) == (10, 5)
    with pytest.raises(ValueError, match="invalid syntax"):
        pending_workloads_options({"limit": ["many"]})

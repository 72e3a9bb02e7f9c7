"""What one look at a Workload and its copies on the workers decides."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from raysail.api.kueue import Workload
from raysail.queue.multikueue.clusters import KubeconfigRefusedError, check_kubeconfig
from raysail.queue.multikueue.group import Group, Turn, decide
from raysail.queue.multikueue.settings import MultiKueueSettings

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
LONG_AGO = "2026-01-01T00:00:00Z"
INCREMENTAL = MultiKueueSettings(dispatcher="kueue.x-k8s.io/multikueue-dispatcher-incremental")


def condition(type_: str, reason: str = "ByTest", message: str = "", since: str = LONG_AGO) -> dict[str, Any]:
    return {"type": type_, "status": "True", "reason": reason, "message": message, "lastTransitionTime": since}


def workload(*conditions: dict[str, Any], state: str = "", priority: int = 0, **status: Any) -> Workload:
    checks = [{"name": "multi", "state": state, "message": ""}] if state else []
    spec = {"queueName": "lq", "priority": priority, "podSets": [{"name": "main", "count": 1, "template": {}}]}
    body = {"metadata": {"name": "w", "namespace": "ns"}, "spec": spec}
    return msgspec.convert({**body, "status": {"conditions": list(conditions), "admissionChecks": checks, **status}}, Workload)


def reserved(state: str = "Pending", *conditions: dict[str, Any], **status: Any) -> Workload:
    return workload(condition("QuotaReserved"), *conditions, state=state, **status)


@dataclass
class Case:
    name: str
    local: Workload
    remotes: dict[str, Workload | None]
    lost: dict[str, datetime] = field(default_factory=dict)
    settings: MultiKueueSettings = field(default_factory=MultiKueueSettings)
    remove: list[str] = field(default_factory=list)
    create: list[str] = field(default_factory=list)
    follow: list[str] = field(default_factory=list)
    sync: str = ""
    deactivate: str = ""
    check: str = ""
    """The check's new state with its message, as `State: message`."""
    nominated: list[str] | None = None
    finished: str = ""
    again: float | None = None

    def __str__(self) -> str:
        return self.name


TAKEN = workload(condition("QuotaReserved"), condition("Admitted"))
WAITING = workload()
GONE_SINCE = NOW - timedelta(seconds=100)

CASES = [
    Case("all clusters are asked at once", reserved(), {"a": None, "b": None}, create=["a", "b"], nominated=["a", "b"]),
    Case(
        "the incremental dispatcher's nominees are asked, others are not",
        reserved(nominatedClusterNames=["b"]),
        {"a": WAITING, "b": None},
        settings=INCREMENTAL,
        create=["b"],
        remove=["a"],
    ),
    Case("nobody is asked before quota is reserved here", workload(state="Pending"), {"a": WAITING}, remove=["a"]),
    Case(
        "the first to admit keeps it, the others lose it",
        reserved(nominatedClusterNames=["a", "b"]),
        {"a": WAITING, "b": TAKEN},
        remove=["a"],
        sync="b",
        check='Ready: The workload was admitted on "b"',
        again=900,
    ),
    Case(
        "a worker that does not answer gets time",
        reserved("Ready", clusterName="a"),
        {},
        lost={"a": GONE_SINCE},
        again=800,
    ),
    Case(
        "a worker that is lost for too long loses it",
        reserved("Ready", clusterName="a"),
        {"b": None},
        lost={"a": NOW - timedelta(seconds=901)},
        check='Retry: Admitting remote lost, Previously: "Ready"',
    ),
    Case(
        "a worker that answers and has no copy has lost it",
        reserved("Ready", clusterName="a"),
        {"a": None},
        check='Retry: Admitting remote no longer exists, Previously: "Ready"',
    ),
    Case(
        "evicted there, it is handed on anew",
        reserved("Ready", clusterName="a"),
        {"a": workload(condition("Evicted", "Preempted"))},
        check='Retry: Workload evicted on worker cluster: "a", resetting for re-admission. Previously: "Ready"',
    ),
    Case(
        "evicted here, it is deactivated there",
        reserved("Ready", condition("Evicted", "Preempted", "make room"), clusterName="a"),
        {"a": TAKEN},
        deactivate="Evicted on manager: make room",
    ),
    Case(
        "its end comes back, with the job's status first",
        reserved("Ready", clusterName="a"),
        {"a": workload(condition("Finished", "Succeeded", "well done"))},
        sync="a",
        finished="Succeeded: well done",
    ),
    Case(
        "an end because the job there is another is no end",
        reserved("Ready", clusterName="a"),
        {"a": workload(condition("Finished", "OutOfSync", "differs"))},
        check='Retry: Remote workload on worker cluster "a" is out of sync with its user job, resetting for re-dispatch, Previously: "Ready"',
    ),
    Case(
        "a changed priority follows",
        reserved(nominatedClusterNames=["a"]),
        {"a": workload(priority=5)},
        follow=["a"],
    ),
    Case(
        "finished here, nothing stays there",
        workload(condition("Finished"), state="Ready", clusterName="b"),
        {"a": TAKEN, "b": None, "d": None},
        lost={"c": GONE_SINCE},
        remove=["a", "b"],
    ),
    Case(
        "finished here, a worker that does not answer is looked at again",
        workload(condition("Finished"), state="Ready", clusterName="c"),
        {"a": None},
        lost={"c": GONE_SINCE},
        again=900,
    ),
    Case("while an eviction takes its cluster away nobody new is asked", reserved(clusterName="a"), {"a": None, "b": None}),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_turn(case: Case) -> None:
    check = (case.local.status.admission_checks or [])[0]
    turn = decide(Group(case.local, check, case.remotes, case.lost), case.settings, NOW)
    assert (turn.remove, turn.create, list(turn.follow), turn.sync) == (case.remove, case.create, case.follow, case.sync)
    assert (turn.deactivate or ("", ""))[1] == case.deactivate
    assert turn.again == (pytest.approx(case.again) if case.again is not None else None)
    assert _check(turn) == case.check
    assert _finished(turn) == case.finished
    if case.nominated is not None:
        assert turn.status is not None
        assert turn.status["nominatedClusterNames"] == case.nominated


def _check(turn: Turn) -> str:
    for check in (turn.status or {}).get("admissionChecks") or ():
        if check["state"] != "Pending" and check["message"]:
            return f"{check['state']}: {check['message']}"
    return ""


def _finished(turn: Turn) -> str:
    for each in (turn.status or {}).get("conditions") or ():
        if each["type"] == "Finished":
            return f"{each['reason']}: {each['message']}"
    return ""


CLUSTER = "clusters: [{name: c, cluster: {server: 'https://10.0.0.1:6443', certificate-authority-data: QQ==}}]"
REFUSED = {
    "users: [{name: u, user: {tokenFile: /etc/passwd}}]": "tokenFile is not allowed",
    "users: [{name: u, user: {exec: {command: sh}}}]": "exec plugins are not allowed",
    "users: [{name: u, user: {username: a, password: b}}]": "basic auth is not allowed",
    "clusters: [{name: c, cluster: {server: 'https://x', insecure-skip-tls-verify: true}}]": "insecure TLS verification is not allowed",
    "clusters: [{name: c, cluster: {server: 'https://x', certificate-authority: /etc/ca}}]": "certificate-authority file paths are not allowed",
    "clusters: [{name: c, cluster: {server: 'https://bad_host'}}]": "untrusted server endpoint",
    "clusters: [{name: c, cluster: {}}]": "server URL is required",
    "[not, a, mapping]": "failed to parse kubeconfig",
}


@pytest.mark.parametrize("text", REFUSED)
def test_a_kubeconfig_that_could_do_harm_here_is_refused(text: str) -> None:
    with pytest.raises(KubeconfigRefusedError, match=REFUSED[text].replace("(", r"\(")):
        check_kubeconfig(text)


def test_a_kubeconfig_that_holds_everything_itself_is_taken() -> None:
    check_kubeconfig(CLUSTER)

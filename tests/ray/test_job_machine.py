"""The RayJob's states: a case a rule, from what is seen to what is done and written."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from raysail.api.ray import RayJob
from raysail.ray.job import machine
from raysail.ray.job.steps import (
    AddFinalizer,
    Ask,
    CreateCluster,
    CreateSubmitter,
    DeleteCluster,
    DeleteSelf,
    DeleteSubmitter,
    EnsureService,
    NotFound,
    RayJobInfo,
    Seen,
    Submit,
    Submitted,
    SuspendWorkers,
    Unreachable,
)
from raysail.ray.settings import RaySettings
from tests.ray.builders import NOW, ago, cluster, group, head, job, service, submitter

URL = "rj-c-head-svc.ns.svc.cluster.local:8265"
RUNNING = {"jobDeploymentStatus": "Running", "jobId": "rj-id", "rayClusterName": "rj-c", "dashboardURL": URL, "startTime": ago(60)}
INITIALIZING = {"jobDeploymentStatus": "Initializing", "jobId": "rj-id", "rayClusterName": "rj-c", "startTime": ago(60)}
DONE = {"jobDeploymentStatus": "Complete", "jobStatus": "SUCCEEDED", "rayClusterName": "rj-c", "endTime": ago(10)}
READY = cluster(group(), name="rj-c", status={"state": "ready"})
COMING = cluster(group(), name="rj-c")
HEAD_SERVICE = service("rj-c-head-svc", selector="rj-c")
OWN_SERVICE = service("rj-head-svc", selector="rj-c")
UP = Seen(cluster=READY, head_service=HEAD_SERVICE, own_service=OWN_SERVICE)
ENDED = {"type": "Complete", "status": "True", "lastTransitionTime": ago(5)}
GAVE_UP = {"type": "Failed", "status": "True", "lastTransitionTime": ago(5), "reason": "BackoffLimitExceeded", "message": "too often"}
ASK = Ask(URL, "rj-id")


def seen(**changes: Any) -> Seen:
    return Seen(**{**{name: getattr(UP, name) for name in UP.__dataclass_fields__}, **changes})


@dataclass
class Case:
    rule: str
    job: RayJob
    seen: Seen = UP
    to: str | None = None
    actions: tuple[Any, ...] = ()
    status: dict[str, Any] = field(default_factory=dict)
    settings: RaySettings = field(default_factory=RaySettings)
    wakes: bool | None = None
    events: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.rule


def k8s(status: dict[str, Any] = RUNNING, **spec: Any) -> RayJob:
    return job(status=status, submissionMode="K8sJobMode", **spec)


def sidecar_head(exit_code: int | None) -> Any:
    state: dict[str, Any] = (
        {"running": {}} if exit_code is None else {"terminated": {"exitCode": exit_code, "reason": "Error", "finishedAt": ago(5)}}
    )
    return head(containers=[{"name": "ray", "state": {"running": {}}}, {"name": "ray-job-submitter", "state": state}])


CASES = [
    # new
    Case("first the finalizer", job(metadata={"finalizers": []}), actions=(AddFinalizer(),)),
    Case(
        "names are written down before anything is made",
        job(),
        seen(names=("id234", "cl567")),
        to="Initializing",
        status={"jobId": "rj-id234", "rayClusterName": "rj-cl567", "startTime": ago(0), "failed": 0},
    ),
    Case("the user's own job id", job(jobId="mine"), seen(names=("a", "b")), to="Initializing", status={"jobId": "mine"}),
    Case(
        "a chosen cluster",
        job(clusterSelector={"ray.io/cluster": "there"}),
        seen(names=("a", "b")),
        to="Initializing",
        status={"rayClusterName": "there"},
    ),
    Case(
        "somebody else will submit: no id",
        job(submissionMode="InteractiveMode"),
        seen(names=("a", "b")),
        to="Initializing",
        status={"jobId": ""},
    ),
    # initializing
    Case("suspension comes first", job(status=INITIALIZING, suspend=True), to="Suspending"),
    Case(
        "too late altogether",
        job(status=INITIALIZING, activeDeadlineSeconds=60),
        to="Failed",
        status={"reason": "DeadlineExceeded", "failed": 1},
    ),
    Case(
        "too late to begin",
        job(status=INITIALIZING, preRunningDeadlineSeconds=30),
        to="Failed",
        status={"reason": "PreRunningDeadlineExceeded"},
    ),
    Case("makes its cluster", job(status=INITIALIZING), Seen(), actions=(CreateCluster("rj-c"),)),
    Case(
        "a chosen cluster is not made",
        job(status=INITIALIZING, clusterSelector={"ray.io/cluster": "rj-c"}),
        Seen(),
        events=("RayClusterNotFound",),
        wakes=True,
    ),
    Case(
        "waits for the cluster and copies its status",
        job(status=INITIALIZING),
        Seen(cluster=cluster(group(), name="rj-c", status={"desiredWorkerReplicas": 1})),
        to="Initializing",
        status={"rayClusterStatus": {"desiredWorkerReplicas": 1}},
    ),
    Case("writes nothing where nothing is new", job(status=INITIALIZING), Seen(cluster=COMING)),
    Case("ready: HTTPMode runs", job(status=INITIALIZING), to="Running", status={"dashboardURL": URL}),
    Case(
        "ready: InteractiveMode waits",
        job(status=INITIALIZING, submissionMode="InteractiveMode"),
        to="Waiting",
        status={"dashboardURL": URL},
    ),
    Case("ready: K8sJobMode makes its submitter", k8s(INITIALIZING), to="Running", actions=("submitter",)),
    Case("a submitter that is there is not made again", k8s(INITIALIZING), seen(submitter=submitter()), to="Running"),
    Case("ready without a dashboard port: tries again", job(status=INITIALIZING), seen(head_service=service(ports=[])), wakes=True),
    Case(
        "as soon as the head answers, where wanted: asks",
        job(status=INITIALIZING),
        seen(cluster=COMING, head_pod=head()),
        actions=(ASK,),
        settings=RaySettings(submit_when_head_answers=True),
    ),
    Case(
        "as soon as the head answers, where wanted: runs",
        job(status=INITIALIZING),
        seen(cluster=COMING, head_pod=head(), answer=NotFound()),
        to="Running",
        settings=RaySettings(submit_when_head_answers=True),
    ),
    # waiting
    Case("nobody has submitted", job(status={**INITIALIZING, "jobDeploymentStatus": "Waiting"}, submissionMode="InteractiveMode")),
    Case(
        "somebody has",
        job(status={**INITIALIZING, "jobDeploymentStatus": "Waiting"}, submissionMode="InteractiveMode", jobId="theirs"),
        to="Running",
        status={"jobId": "theirs"},
    ),
    # running
    Case("suspension", job(status=RUNNING, suspend=True), to="Suspending"),
    Case("a deadline is no reason to try again", job(status=RUNNING, activeDeadlineSeconds=60, backoffLimit=3), to="Failed"),
    Case("a cluster that went comes back under its name", job(status=RUNNING), Seen(), actions=(CreateCluster("rj-c"),)),
    Case("its own service", job(status=RUNNING), seen(own_service=None), actions=(EnsureService(update=False), ASK)),
    Case(
        "its own service follows the cluster",
        job(status=RUNNING),
        seen(own_service=service(selector="old")),
        actions=(EnsureService(update=True), ASK),
    ),
    Case(
        "no service for a chosen cluster",
        job(status=RUNNING, clusterSelector={"ray.io/cluster": "rj-c"}),
        seen(own_service=None),
        actions=(ASK,),
    ),
    Case("Ray does not know the job: HTTPMode submits", job(status=RUNNING), seen(answer=NotFound()), actions=(ASK, Submit(URL, "rj-id"))),
    Case("Ray does not know the job yet: its submitter will", k8s(), seen(submitter=submitter(), answer=NotFound()), actions=(ASK,)),
    Case(
        "the submitter ended and Ray knows nothing",
        k8s(),
        seen(submitter=submitter(ENDED), answer=NotFound()),
        to="Failed",
        actions=(ASK,),
        status={"reason": "AppFailed", "message": "Submitter completed but Ray job not found in RayCluster."},
    ),
    Case(
        "silence is noted",
        job(status=RUNNING),
        seen(answer=Unreachable("x")),
        to="Running",
        actions=(ASK,),
        status={"jobStatusCheckFailureStartTime": ago(0)},
    ),
    Case(
        "silence is noted once",
        job(status={**RUNNING, "jobStatusCheckFailureStartTime": ago(10)}),
        seen(answer=Unreachable("x")),
        actions=(ASK,),
    ),
    Case(
        "silence ends with a submission",
        job(status={**RUNNING, "jobStatusCheckFailureStartTime": ago(10)}),
        seen(answer=Submitted()),
        to="Running",
        actions=(ASK,),
        status={"jobStatusCheckFailureStartTime": None},
    ),
    Case(
        "silence for too long, and no other try",
        job(status={**RUNNING, "jobStatusCheckFailureStartTime": ago(301)}, backoffLimit=1),
        to="Failed",
        status={"reason": "JobStatusCheckTimeoutExceeded"},
    ),
    Case(
        "Ray's word is copied",
        job(status=RUNNING),
        seen(answer=RayJobInfo("RUNNING", "m", 1000)),
        to="Running",
        actions=(ASK,),
        status={"jobStatus": "RUNNING", "message": "m", "rayJobInfo": {"startTime": "1970-01-01T00:00:01Z"}},
    ),
    Case(
        "success",
        job(status=RUNNING),
        seen(answer=RayJobInfo("SUCCEEDED")),
        to="Complete",
        actions=(ASK,),
        status={"succeeded": 1, "endTime": ago(0)},
    ),
    Case(
        "stopped is complete",
        job(status=RUNNING),
        seen(answer=RayJobInfo("STOPPED")),
        to="Complete",
        actions=(ASK,),
        status={"succeeded": 0},
    ),
    Case(
        "failure",
        job(status=RUNNING),
        seen(answer=RayJobInfo("FAILED", "boom")),
        to="Failed",
        actions=(ASK,),
        status={"reason": "AppFailed", "failed": 1},
    ),
    Case(
        "failure with another try",
        job(status=RUNNING, backoffLimit=1),
        seen(answer=RayJobInfo("FAILED", "boom")),
        to="Retrying",
        actions=(ASK,),
        status={"failed": 1, "endTime": None},
    ),
    Case(
        "tries are counted",
        job(status={**RUNNING, "failed": 1}, backoffLimit=1),
        seen(answer=RayJobInfo("FAILED")),
        to="Failed",
        actions=(ASK,),
        status={"failed": 2},
    ),
    Case(
        "success waits for the submitter",
        k8s(),
        seen(submitter=submitter(), answer=RayJobInfo("SUCCEEDED")),
        to="Running",
        actions=(ASK,),
        status={"jobStatus": "SUCCEEDED"},
    ),
    Case(
        "success when the submitter has ended too",
        k8s(),
        seen(submitter=submitter(ENDED), answer=RayJobInfo("SUCCEEDED")),
        to="Complete",
        actions=(ASK,),
    ),
    Case(
        "the submitter gave up",
        k8s(),
        seen(submitter=submitter(GAVE_UP)),
        to="Failed",
        status={"reason": "SubmissionFailed", "message": "Job submission has failed. Reason: BackoffLimitExceeded. Message: too often"},
    ),
    Case(
        "the submitter gave up because the program failed",
        k8s({**RUNNING, "jobStatus": "FAILED"}),
        seen(submitter=submitter(GAVE_UP)),
        to="Failed",
        status={"reason": "AppFailed"},
    ),
    Case(
        "the submitter ended and Ray's job does not",
        k8s(),
        seen(submitter=submitter({**ENDED, "lastTransitionTime": ago(31)}), answer=RayJobInfo("RUNNING")),
        to="Failed",
        status={"reason": "JobDeploymentStatusTransitionGracePeriodExceeded", "jobStatus": "FAILED"},
    ),
    Case(
        "Ray's job ended and the submitter does not",
        k8s({**RUNNING, "jobStatus": "SUCCEEDED", "rayJobInfo": {"endTime": ago(301)}}),
        seen(submitter=submitter()),
        to="Complete",
        status={"reason": "JobDeploymentStatusTransitionGracePeriodExceeded"},
    ),
    Case(
        "a lost head takes the sidecar along",
        job(status=RUNNING, submissionMode="SidecarMode"),
        to="Failed",
        status={"message": "Ray head pod not found."},
    ),
    Case("the sidecar runs", job(status=RUNNING, submissionMode="SidecarMode"), seen(head_pod=sidecar_head(None)), actions=(ASK,)),
    Case(
        "the sidecar failed",
        job(status=RUNNING, submissionMode="SidecarMode"),
        seen(head_pod=sidecar_head(1)),
        to="Failed",
        status={"reason": "SubmissionFailed", "message": "Ray head pod container ray-job-submitter terminated with exit code 1: Error"},
    ),
    Case(
        "the sidecar ended well and so did the job",
        job(status=RUNNING, submissionMode="SidecarMode"),
        seen(head_pod=sidecar_head(0), answer=RayJobInfo("SUCCEEDED")),
        to="Complete",
        actions=(ASK,),
    ),
    # suspending, retrying
    Case(
        "everything goes",
        k8s({**RUNNING, "jobDeploymentStatus": "Suspending"}),
        seen(submitter=submitter()),
        actions=(DeleteCluster("rj-c", "uid-rj-c"), DeleteSubmitter("rj", "uid-submitter")),
        wakes=True,
    ),
    Case(
        "waits until it is gone",
        k8s({**RUNNING, "jobDeploymentStatus": "Suspending"}),
        Seen(submitter=submitter(terminating=True)),
        wakes=True,
    ),
    Case(
        "then it is suspended",
        k8s({**RUNNING, "jobDeploymentStatus": "Suspending", "jobStatus": "RUNNING", "message": "m", "failed": 1}),
        Seen(),
        to="Suspended",
        status={"jobId": "", "rayClusterName": "", "dashboardURL": "", "jobStatus": "", "message": "", "failed": 1},
    ),
    Case(
        "another try begins anew",
        job(status={**RUNNING, "jobDeploymentStatus": "Retrying", "failed": 1}, backoffLimit=1),
        Seen(),
        to="",
        status={"jobId": "", "failed": 1},
    ),
    Case(
        "a chosen cluster stays",
        job(status={**RUNNING, "jobDeploymentStatus": "Retrying"}, clusterSelector={"ray.io/cluster": "rj-c"}),
        to="",
    ),
    # suspended
    Case("stays suspended", job(status={"jobDeploymentStatus": "Suspended"}, suspend=True)),
    Case("is let go", job(status={"jobDeploymentStatus": "Suspended"}), to=""),
    # ended
    Case("nothing goes unless told", job(status=DONE)),
    Case("the cluster goes at once", job(status=DONE, shutdownAfterJobFinishes=True), actions=(DeleteCluster("rj-c", "uid-rj-c"),)),
    Case("the cluster goes later", job(status=DONE, shutdownAfterJobFinishes=True, ttlSecondsAfterFinished=60), wakes=True),
    Case("a chosen cluster never goes", job(status=DONE, shutdownAfterJobFinishes=True, clusterSelector={"ray.io/cluster": "rj-c"})),
    Case(
        "the job itself goes, where the settings say so",
        job(status=DONE, shutdownAfterJobFinishes=True),
        actions=(DeleteSelf(),),
        settings=RaySettings(delete_ray_job_after_finish=True),
    ),
    Case("an unknown state is left alone", job(status={"jobDeploymentStatus": "ValidationFailed"})),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_step(case: Case) -> None:
    step = machine.step(case.job, case.seen, NOW, case.settings)
    written = None if step.status is None else msgspec.to_builtins(step.status)
    assert (None if written is None else written.get("jobDeploymentStatus", "")) == case.to
    actions = tuple("submitter" if isinstance(action, CreateSubmitter) else action for action in step.actions)
    assert actions == case.actions
    for key, value in case.status.items():
        found = (written or {}).get(key)
        assert (found or None) == (value or None), key
    assert tuple(event.reason for event in step.events) == case.events
    if case.wakes is not None:
        assert (step.wake_seconds is not None) is case.wakes


def rule(policy: str, ttl: int = 0, **condition: str) -> dict[str, Any]:
    return {"policy": policy, "condition": {**(condition or {"jobStatus": "SUCCEEDED"}), "ttlSeconds": ttl}}


@pytest.mark.parametrize(
    ("what", "rules", "actions", "wake"),
    [
        ("a rule that is due", [rule("DeleteCluster")], (DeleteCluster("rj-c", "uid-rj-c"),), None),
        ("a rule that is not due yet", [rule("DeleteCluster", 60)], (), 50),
        ("a rule for another end", [rule("DeleteCluster", jobStatus="FAILED")], (), None),
        (
            "of several that are due the one that deletes most",
            [rule("DeleteWorkers"), rule("DeleteSelf", 5), rule("DeleteCluster")],
            (DeleteSelf(),),
            None,
        ),
        ("one now, one later", [rule("DeleteWorkers"), rule("DeleteCluster", 30)], (SuspendWorkers(),), 20),
        ("nothing is asked for", [rule("DeleteNone")], (), None),
    ],
)
def test_deletion_rules(what: str, rules: list[dict[str, Any]], actions: tuple[Any, ...], wake: float | None) -> None:
    made = job(status=DONE, deletionStrategy={"deletionRules": rules})
    step = machine.step(made, UP, NOW, RaySettings())
    assert step.actions == actions, what
    assert step.wake_seconds == wake, what


def test_what_is_done_is_not_done_again() -> None:
    made = job(status=DONE, deletionStrategy={"deletionRules": [rule("DeleteWorkers"), rule("DeleteCluster", 60)]})
    suspended = Seen(cluster=cluster(group(suspend=True), name="rj-c"))
    assert machine.step(made, suspended, NOW, RaySettings()).actions == ()
    assert machine.step(made, Seen(), NOW + timedelta(hours=1), RaySettings()).actions == ()


@pytest.mark.parametrize(("end", "actions"), [("SUCCEEDED", (DeleteCluster("rj-c", "uid-rj-c"),)), ("FAILED", ()), ("STOPPED", ())])
def test_older_policies(end: str, actions: tuple[Any, ...]) -> None:
    strategy = {"onSuccess": {"policy": "DeleteCluster"}, "onFailure": {"policy": "DeleteNone"}}
    made = job(status={**DONE, "jobStatus": end}, deletionStrategy=strategy)
    assert machine.step(made, UP, NOW, RaySettings()).actions == actions


@pytest.mark.parametrize(
    ("what", "made", "seconds"),
    [
        ("active deadline", job(status=RUNNING, activeDeadlineSeconds=100), 40),
        ("pre-running deadline", job(status=INITIALIZING, preRunningDeadlineSeconds=70, activeDeadlineSeconds=100), 10),
        ("silence", job(status={**RUNNING, "jobStatusCheckFailureStartTime": ago(100)}), 200),
        ("submitter", k8s({**RUNNING, "jobStatus": "SUCCEEDED", "rayJobInfo": {"endTime": ago(10)}}), 25),
        ("nothing", job(status=RUNNING), None),
    ],
)
def test_time_alone(what: str, made: RayJob, seconds: float | None) -> None:
    found = machine.next_deadline(made, seen(submitter=submitter(ENDED)), RaySettings())
    assert (None if found is None else (found - NOW).total_seconds()) == seconds, what

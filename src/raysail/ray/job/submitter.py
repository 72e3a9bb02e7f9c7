"""Who submits a job's program, and how that went: the Kubernetes Job of K8sJobMode, the head's sidecar of SidecarMode. Pure.

KubeRay common/job.go BuildJobSubmitCommand and rayjob_controller.go checkSubmitterAndUpdateStatusIfNeeded.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from raysail.api.batch import JOB_COMPLETE, JOB_FAILED
from raysail.api.core.pod import ContainerStatus
from raysail.api.meta import parse_time
from raysail.api.ray import RayCluster, RayJob, RayJobStatus, names
from raysail.api.ray import job as states
from raysail.ray.go_yaml import parse_mapping
from raysail.ray.job.steps import Seen
from raysail.ray.pods import authentication
from raysail.ray.pods.build import controller_reference
from raysail.ray.pods.container import Container, add_env, bash, port_named
from raysail.ray.settings import RaySettings

_BACKOFF_LIMIT: Final = 2
_HEALTH: Final = (
    "python -c \"import urllib.request; r=urllib.request.urlopen('{url}', timeout=10); exit(0 if b'success' in r.read() else 1)\""
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How submitting went. `expected`: there is a submitter; `ended_at`: since when it is over; `lost`: it will not submit (any more), and why."""

    expected: bool = False
    ended_at: datetime | None = None
    lost: bool = False
    reason: str = ""
    message: str = ""


def outcome(job: RayJob, seen: Seen, settings: RaySettings) -> Outcome:
    """What is seen of the submitter; nothing is expected in the other modes."""
    if job.spec.submission_mode == states.K8S_JOB_MODE:
        return _of_kubernetes_job(job, seen)
    if job.spec.submission_mode == states.SIDECAR_MODE:
        return _of_sidecar(job, seen, settings)
    return Outcome()


def _of_kubernetes_job(job: RayJob, seen: Seen) -> Outcome:
    conditions = (seen.submitter.status.conditions if seen.submitter else None) or ()
    ends = [c for c in conditions if c.type in (JOB_COMPLETE, JOB_FAILED) and c.status == "True"]
    ended_at = parse_time(ends[0].last_transition_time) if ends and ends[0].last_transition_time else None
    failed = next((c for c in ends if c.type == JOB_FAILED), None)
    if failed is None:
        return Outcome(expected=True, ended_at=ended_at)
    if job.status.job_status == states.FAILED:
        return Outcome(True, ended_at, lost=True, reason=states.APP_FAILED)
    text = f"Job submission has failed. Reason: {failed.reason}. Message: {failed.message}"
    return Outcome(True, ended_at, lost=True, reason=states.SUBMISSION_FAILED, message=text)


def _of_sidecar(job: RayJob, seen: Seen, settings: RaySettings) -> Outcome:
    if seen.head_pod is None:
        return Outcome(True, lost=True, reason=states.APP_FAILED, message="Ray head pod not found.")
    statuses = seen.head_pod.status.container_statuses or ()
    container = next((status for status in statuses if status.name == names.SUBMITTER_CONTAINER), None)
    if container is None:
        return Outcome(expected=True)
    end = container.state.terminated
    ended_at = parse_time(end.finished_at) if end is not None and end.finished_at else None
    if settings.gates.sidecar_submitter_restart:
        lost, text = _restarted_too_often(job, container)
    else:
        lost = end is not None and end.exit_code != 0
        text = f"Ray head pod container {container.name} terminated with exit code {end.exit_code}: {end.reason}" if end is not None else ""
    if not lost:
        return Outcome(expected=True, ended_at=ended_at)
    if job.status.job_status == states.FAILED:
        return Outcome(True, ended_at, lost=True, reason=states.APP_FAILED)
    return Outcome(True, ended_at, lost=True, reason=states.SUBMISSION_FAILED, message=text)


def _restarted_too_often(job: RayJob, container: ContainerStatus) -> tuple[bool, str]:
    end = container.state.terminated
    if container.last_state.terminated is None or (end is not None and end.exit_code == 0):
        return False, ""
    text = f"Ray head pod submitter container {container.name} terminated after exceeding the maximum restart count"
    return container.restart_count >= backoff_limit(job), text


def backoff_limit(job: RayJob) -> int:
    """How often submitting is tried again."""
    given = job.spec.submitter_config.backoff_limit if job.spec.submitter_config else None
    return _BACKOFF_LIMIT if given is None else given


def kubernetes_job(job: RayJob, status: RayJobStatus, cluster: RayCluster, settings: RaySettings) -> dict[str, Any]:
    """The Job of K8sJobMode: the user's Pod template or one with the head's image, told where to submit what. `cluster` with its effective authOptions."""
    labels = {
        names.ORIGINATED_FROM_CR_NAME_LABEL: job.metadata.name,
        names.ORIGINATED_FROM_CRD_LABEL: "RayJob",
        names.CREATED_BY_LABEL: names.OPERATOR_NAME,
    }
    if job.spec.submitter_pod_template is not None:
        template: dict[str, Any] = copy.deepcopy(job.spec.submitter_pod_template)
    else:
        template = {"spec": {"containers": [_default_container(cluster)], "restartPolicy": "Never"}}
    container = template["spec"]["containers"][0]
    if not container.get("command"):
        container["command"] = bash(login=settings.login_shell, options="e")
        container["args"] = [submit_command(job, status, sidecar=False, checks_first=True)]
    _configure(container, status, cluster)
    if authentication.uses_kubernetes_tokens(cluster.spec.auth_options):
        authentication.add_token_volume(template["spec"])
    metadata = template.get("metadata") or {}
    template["metadata"] = {**metadata, "labels": {**(metadata.get("labels") or {}), **labels}}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job.metadata.name,
            "namespace": job.metadata.namespace,
            "labels": dict(labels),
            "ownerReferences": [controller_reference("RayJob", job.metadata.name, job.metadata.uid)],
        },
        "spec": {"backoffLimit": backoff_limit(job), "template": template},
    }


def sidecar(job: RayJob, cluster: RayCluster, settings: RaySettings) -> Container:
    """The container beside the head in SidecarMode."""
    container = _default_container(cluster)
    container["command"] = bash(login=settings.login_shell, options="e")
    container["args"] = [submit_command(job, job.status, sidecar=True, checks_first=settings.gates.sidecar_submitter_restart)]
    _configure(container, job.status, cluster)
    if settings.gates.sidecar_submitter_restart:
        container["restartPolicy"] = "OnFailure"
    return container


def submit_command(job: RayJob, status: RayJobStatus, *, sidecar: bool, checks_first: bool) -> str:
    """The shell script: waits for the dashboard, submits, follows the log. `checks_first`: it may run again and must not submit twice."""
    if sidecar:
        head = (job.spec.ray_cluster_spec.head_group_spec.template if job.spec.ray_cluster_spec else {}).get("spec") or {}
        port = port_named((head.get("containers") or [{}])[0], names.DASHBOARD_PORT_NAME) or names.DASHBOARD_PORT
        address, health_url = f"http://127.0.0.1:{port}", f"http://localhost:{port}/api/gcs_healthz"
    else:
        address = status.dashboard_url if status.dashboard_url.startswith("http://") else f"http://{status.dashboard_url}"
        health_url = f"{address}/api/gcs_healthz"
    waiting = go_quoted(f"Waiting for Ray Dashboard GCS to become healthy at {address} ...")
    words = ["until", _HEALTH.format(url=health_url), ">/dev/null", "2>&1", ";", "do", "echo", waiting, ";", "sleep", "2", ";", "done", ";"]
    if checks_first:
        words += ["if", "!", "ray", "job", "status", "--address", address, status.job_id, ">/dev/null", "2>&1", ";", "then"]
    words += ["ray", "job", "submit", "--address", address, *(["--no-wait"] if checks_first else [])]
    spec = job.spec
    if spec.runtime_env_yaml:
        words += ["--runtime-env-json", go_quoted(go_json(parse_mapping(spec.runtime_env_yaml)))]
    if spec.metadata:
        words += ["--metadata-json", go_quoted(go_json(spec.metadata))]
    if status.job_id:
        words += ["--submission-id", status.job_id]
    if spec.entrypoint_num_cpus > 0:
        words += ["--entrypoint-num-cpus", f"{spec.entrypoint_num_cpus:f}"]
    if spec.entrypoint_num_gpus > 0:
        words += ["--entrypoint-num-gpus", f"{spec.entrypoint_num_gpus:f}"]
    if spec.entrypoint_resources:
        words += ["--entrypoint-resources", go_quoted(spec.entrypoint_resources)]
    words += ["--", spec.entrypoint.strip(), ";"]
    if checks_first:
        words += ["fi", ";", "ray", "job", "logs", "--address", address, "--follow", status.job_id]
    return " ".join(words)


def request_body(job: RayJob) -> dict[str, Any]:
    """The body of POST /api/jobs/ (HTTPMode)."""
    spec = job.spec
    body: dict[str, Any] = {
        "entrypoint": spec.entrypoint,
        "submission_id": job.status.job_id,
        "runtime_env": parse_mapping(spec.runtime_env_yaml),
        "metadata": spec.metadata,
        "entrypoint_num_cpus": _number(spec.entrypoint_num_cpus),
        "entrypoint_num_gpus": _number(spec.entrypoint_num_gpus),
        "entrypoint_resources": orjson.loads(spec.entrypoint_resources) if spec.entrypoint_resources else None,
    }
    return {key: value for key, value in body.items() if value or key == "entrypoint"}


def go_quoted(text: str) -> str:
    """Go's strconv.Quote, for text inside the submitter's script."""
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", "\a": "\\a", "\b": "\\b", "\f": "\\f", "\v": "\\v"}

    def shown(char: str) -> str:
        if char in escapes:
            return escapes[char]
        if char.isprintable():
            return char
        code = ord(char)
        return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"

    return f'"{"".join(map(shown, text))}"'


def go_json(value: Any) -> str:
    """JSON as Go writes it: keys sorted, no spaces, `<`, `>` and `&` escaped."""
    text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    for char in "<>&\u2028\u2029":
        text = text.replace(char, f"\\u{ord(char):04x}")
    return text


def _default_container(cluster: RayCluster) -> Container:
    image = cluster.spec.head_group_spec.template["spec"]["containers"][0].get("image", "")
    resources = {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m", "memory": "200Mi"}}
    return {"name": names.SUBMITTER_CONTAINER, "image": image, "resources": resources}


def _configure(container: Container, status: RayJobStatus, cluster: RayCluster) -> None:
    add_env(container, "PYTHONUNBUFFERED", "1")
    add_env(container, "RAY_DASHBOARD_ADDRESS", status.dashboard_url)
    add_env(container, "RAY_JOB_SUBMISSION_ID", status.job_id)
    if authentication.is_enabled(cluster.spec.auth_options):
        authentication.add_token(container, cluster.metadata.name, cluster.spec.auth_options)


def _number(value: float) -> int | float:
    return int(value) if value == int(value) else value

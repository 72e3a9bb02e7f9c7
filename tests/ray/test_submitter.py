"""Who submits a program, and with what words."""

from __future__ import annotations

import pytest

from raysail.ray.go_yaml import parse_mapping
from raysail.ray.job.cluster import cluster_for
from raysail.ray.job.submitter import go_json, go_quoted, kubernetes_job, request_body, submit_command
from raysail.ray.settings import RaySettings
from tests.ray.builders import cluster, env, group, job

STATUS = {"jobId": "rj-1", "dashboardURL": "svc.ns.svc.cluster.local:8265", "rayClusterName": "rj-c"}


def test_the_script_does_not_submit_twice() -> None:
    made = job(
        status=STATUS, submissionMode="K8sJobMode", entrypoint="  python a.py  ", runtimeEnvYAML='env_vars: {A: "1"}', entrypointNumCpus=0.5
    )
    script = submit_command(made, made.status, sidecar=False, checks_first=True)
    address = "http://svc.ns.svc.cluster.local:8265"
    assert f"if ! ray job status --address {address} rj-1 >/dev/null 2>&1 ; then ray job submit --address {address} --no-wait " in script
    assert '--runtime-env-json "{\\"env_vars\\":{\\"A\\":\\"1\\"}}"' in script
    assert "--submission-id rj-1 --entrypoint-num-cpus 0.500000 -- python a.py ; fi ; " in script
    assert script.endswith(f"ray job logs --address {address} --follow rj-1")


def test_the_sidecar_waits_in_the_foreground() -> None:
    made = job(status=STATUS, submissionMode="SidecarMode")
    script = submit_command(made, made.status, sidecar=True, checks_first=False)
    assert "ray job submit --address http://127.0.0.1:8265 --submission-id" in script
    assert "--no-wait" not in script


def test_a_template_keeps_its_command() -> None:
    own = {
        "metadata": {"labels": {"x": "y"}},
        "spec": {"containers": [{"name": "c", "image": "i", "command": ["my"]}], "restartPolicy": "OnFailure"},
    }
    made = job(status=STATUS, submissionMode="K8sJobMode", submitterPodTemplate=own, submitterConfig={"backoffLimit": 5})
    body = kubernetes_job(made, made.status, cluster(group(), authOptions={"mode": "token"}), RaySettings())
    container = body["spec"]["template"]["spec"]["containers"][0]
    assert container["command"] == ["my"]
    assert env(container)["RAY_DASHBOARD_ADDRESS"] == STATUS["dashboardURL"]
    assert env(container)["RAY_AUTH_TOKEN"] == {"secretKeyRef": {"name": "rc", "key": "auth_token"}}
    assert body["spec"]["backoffLimit"] == 5
    assert body["spec"]["template"]["metadata"]["labels"]["x"] == "y"
    assert body["metadata"]["labels"] == {
        "ray.io/originated-from-cr-name": "rj",
        "ray.io/originated-from-crd": "RayJob",
        "app.kubernetes.io/created-by": "kuberay-operator",
    }


def test_the_default_submitter_has_the_heads_image() -> None:
    made = job(status=STATUS, submissionMode="K8sJobMode")
    spec = kubernetes_job(made, made.status, cluster(), RaySettings())["spec"]["template"]["spec"]
    assert (spec["containers"][0]["image"], spec["restartPolicy"]) == ("rayproject/ray:2.46.0", "Never")
    assert spec["containers"][0]["command"] == ["/bin/bash", "-ce", "--"]


def test_the_body_of_a_request() -> None:
    made = job(
        status=STATUS, entrypointNumCpus=0.5, entrypointNumGpus=1, entrypointResources='{"a": 1}', metadata={}, runtimeEnvYAML="pip: [x]"
    )
    assert request_body(made) == {
        "entrypoint": "python main.py",
        "submission_id": "rj-1",
        "runtime_env": {"pip": ["x"]},
        "entrypoint_num_cpus": 0.5,
        "entrypoint_num_gpus": 1,
        "entrypoint_resources": {"a": 1},
    }


def test_a_jobs_cluster() -> None:
    made = job(metadata={"labels": {"a": "1"}, "annotations": {"b": "2"}}, status=STATUS)
    body = cluster_for(made, "rj-c", RaySettings())
    assert body["metadata"]["labels"] == {
        "a": "1",
        "ray.io/originated-from-cr-name": "rj",
        "ray.io/originated-from-crd": "RayJob",
        "ray.io/job-submission-mode": "HTTPMode",
    }
    assert body["metadata"]["annotations"] == {"b": "2"}
    assert body["metadata"]["ownerReferences"][0]["uid"] == "uid-rj"
    assert body["spec"]["workerGroupSpecs"][0]["groupName"] == "small"


def test_a_sidecar_goes_into_the_head() -> None:
    made = job(status=STATUS, submissionMode="SidecarMode")
    body = cluster_for(made, "rj-c", RaySettings())
    spec = body["spec"]["headGroupSpec"]["template"]["spec"]
    assert [c["name"] for c in spec["containers"]] == ["ray", "ray-job-submitter"]
    assert spec["restartPolicy"] == "Never"
    assert body["metadata"]["annotations"] == {"ray.io/disable-provisioned-head-restart": "true"}
    assert made.spec.ray_cluster_spec
    assert len(made.spec.ray_cluster_spec.head_group_spec.template["spec"]["containers"]) == 1


@pytest.mark.parametrize(
    ("text", "quoted"), [('a"b', '"a\\"b"'), ("a\\b", '"a\\\\b"'), ("a\nb", '"a\\nb"'), ("ü", '"ü"'), ("\x01", '"\\x01"')]
)
def test_quoting_as_go_does(text: str, quoted: str) -> None:
    assert go_quoted(text) == quoted


def test_json_as_go_writes_it() -> None:
    assert go_json({"b": "<&>", "a": [1, 1.5]}) == '{"a":[1,1.5],"b":"\\u003c\\u0026\\u003e"}'


def test_runtime_env_is_yaml_1_1_with_text_keys() -> None:
    assert parse_mapping("env_vars: {N: x, 1: z}\nflag: off\nletter: n") == {
        "env_vars": {"false": "x", "1": "z"},
        "flag": False,
        "letter": False,
    }
    assert parse_mapping("") == {}
    with pytest.raises(ValueError, match="mapping"):
        parse_mapping("- a")

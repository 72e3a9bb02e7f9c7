"""RayCluster → Pods, rule by rule (KubeRay pod.go)."""

from __future__ import annotations

from typing import Any

import pytest

from raysail.api.ray import RayCluster
from raysail.ray.pods.build import head_pod, with_default_authentication, worker_pod
from raysail.ray.pods.template import Replica
from raysail.ray.settings import FeatureGates, RaySettings
from tests.ray.builders import cluster, container, env, group, template

DEFAULTS = RaySettings()
THIRD = Replica(3)


def head_of(made: RayCluster, settings: RaySettings = DEFAULTS) -> dict[str, Any]:
    return head_pod(made, "rc-head-abcde", "HASH", settings)


def worker_of(made: RayCluster, settings: RaySettings = DEFAULTS, replica: Replica = THIRD) -> dict[str, Any]:
    groups = made.spec.worker_group_specs
    assert groups
    return worker_pod(made, groups[0], replica, "rc-small-worker-abcde", settings)


def ray_container(pod: dict[str, Any]) -> dict[str, Any]:
    container: dict[str, Any] = pod["spec"]["containers"][0]
    return container


def test_a_head_as_kuberay_makes_it() -> None:
    pod = head_of(cluster())
    meta, ray = pod["metadata"], ray_container(pod)
    assert meta["name"] == "rc-head-abcde"
    assert meta["generateName"] == "rc-head-"
    assert meta["labels"] == {
        "ray.io/is-ray-node": "yes",
        "ray.io/cluster": "rc",
        "ray.io/node-type": "head",
        "ray.io/group": "headgroup",
        "ray.io/identifier": "rc-head",
        "app.kubernetes.io/name": "kuberay",
        "app.kubernetes.io/created-by": "kuberay-operator",
    }
    assert meta["annotations"]["ray.io/ft-enabled"] == "false"
    assert meta["annotations"]["ray.io/upgrade-strategy-recreate-hash"] == "HASH"
    assert meta["ownerReferences"] == [
        {"apiVersion": "ray.io/v1", "kind": "RayCluster", "name": "rc", "uid": "uid-rc", "controller": True, "blockOwnerDeletion": True}
    ]
    assert ray["command"] == ["/bin/bash", "-c", "--"]
    assert ray["args"][0] == (
        "ulimit -n ${RAY_START_ULIMIT_OPEN_FILES:-65536}; ray start --head  --block  --dashboard-agent-listen-port=52365  "
        "--dashboard-host=0.0.0.0  --memory=2147483648  --metrics-export-port=8080  --num-cpus=1 "
    )
    assert ray["ports"] == [{"name": "metrics", "containerPort": 8080}]
    assert env(ray)["RAY_ADDRESS"] == "127.0.0.1:6379"
    assert env(ray)["KUBERAY_GEN_RAY_START_CMD"] in ray["args"][0]
    assert "FQ_RAY_IP" not in env(ray)
    assert pod["spec"]["volumes"] == [{"name": "shared-mem", "emptyDir": {"medium": "Memory", "sizeLimit": "2Gi"}}]


def test_a_worker_finds_the_head_by_its_service() -> None:
    pod = worker_of(cluster(group()))
    ray, waiting = ray_container(pod), pod["spec"]["initContainers"][0]
    name = "rc-head-svc.ns.svc.cluster.local"
    assert f"--address={name}:6379 " in ray["args"][0]
    assert (env(ray)["FQ_RAY_IP"], env(ray)["RAY_IP"], env(ray)["RAY_ADDRESS"]) == (name, "rc-head-svc", f"{name}:6379")
    assert waiting["name"] == "wait-gcs-ready"
    assert f"ray health-check --address {name}:6379" in waiting["args"][0]
    assert env(waiting)["FQ_RAY_IP"] == name
    assert pod["metadata"]["labels"]["ray.io/worker-group-replica-index"] == "3"
    assert "ray.io/ft-enabled" not in pod["metadata"]["annotations"]


def test_hosts_of_a_replica_are_numbered() -> None:
    pod = worker_of(cluster(group(numOfHosts=2)), replica=Replica(1, "small-xyz", 1))
    labels = pod["metadata"]["labels"]
    assert labels["ray.io/worker-group-replica-name"] == "small-xyz"
    assert (labels["ray.io/worker-group-replica-index"], labels["ray.io/replica-host-index"]) == ("1", "1")
    off = RaySettings(gates=FeatureGates(ray_multi_host_indexing=False))
    assert "ray.io/worker-group-replica-index" not in worker_of(cluster(group()), off)["metadata"]["labels"]


def test_users_labels_win_but_for_three() -> None:
    marks = {"app.kubernetes.io/name": "mine", "ray.io/cluster": "other", "ray.io/group": "other", "ray.io/node-type": "worker", "x": "1"}
    pod = head_of(cluster(head={"template": template(metadata={"labels": marks}), "labels": {"tier": "control", "x": "2"}}))
    labels = pod["metadata"]["labels"]
    assert (labels["app.kubernetes.io/name"], labels["x"], labels["tier"]) == ("mine", "2", "control")
    assert (labels["ray.io/cluster"], labels["ray.io/group"], labels["ray.io/node-type"]) == ("rc", "headgroup", "head")


class TestCommand:
    def test_the_users_own_comes_first(self) -> None:
        pod = head_of(cluster(head={"template": template(container(command=["echo", "hi"], args=["there"]))}))
        assert ray_container(pod)["args"][0].startswith(" echo  hi  there  && ulimit -n ")

    def test_ray_start_of_the_users_is_left_alone(self) -> None:
        pod = head_of(cluster(head={"template": template(container(command=["ray start --head"]))}))
        assert ray_container(pod)["command"] == ["ray start --head"]
        assert "KUBERAY_GEN_RAY_START_CMD" in env(ray_container(pod))

    def test_an_annotation_keeps_the_users(self) -> None:
        made = cluster(
            head={"template": template(container(command=["x"]))}, metadata={"annotations": {"ray.io/overwrite-container-cmd": "true"}}
        )
        pod = head_of(made)
        assert ray_container(pod)["command"] == ["x"]
        assert pod["metadata"]["annotations"]["ray.io/overwrite-container-cmd"] == "true"

    def test_a_login_shell_where_wanted(self) -> None:
        assert ray_container(head_of(cluster(), RaySettings(login_shell=True)))["command"] == ["/bin/bash", "-cl", "--"]


class TestProbes:
    def test_before_2_53_by_wget(self) -> None:
        ray = ray_container(head_of(cluster()))
        assert "8265/api/gcs_healthz" in ray["livenessProbe"]["exec"]["command"][2]
        assert (ray["readinessProbe"]["timeoutSeconds"], ray["readinessProbe"]["failureThreshold"]) == (5, 10)
        worker = ray_container(worker_of(cluster(group())))
        assert "gcs_healthz" not in worker["readinessProbe"]["exec"]["command"][2]
        assert worker["readinessProbe"]["timeoutSeconds"] == 2

    def test_from_2_53_by_http(self) -> None:
        made = cluster(rayVersion="2.53.0", head={"rayStartParams": {"dashboard-agent-listen-port": "1234"}})
        assert ray_container(head_of(made))["readinessProbe"]["httpGet"] == {"path": "/api/healthz", "port": 1234}

    def test_the_users_own_stay(self) -> None:
        own = {"exec": {"command": ["true"]}}
        ray = ray_container(head_of(cluster(head={"template": template(container(readinessProbe=own))})))
        assert ray["readinessProbe"] == own
        assert "livenessProbe" in ray

    def test_none_where_switched_off(self) -> None:
        assert "readinessProbe" not in ray_container(head_of(cluster(), RaySettings(inject_probes=False)))

    def test_workers_of_a_service_must_serve(self) -> None:
        made = cluster(group(), metadata={"labels": {"ray.io/originated-from-crd": "RayService"}})
        worker = worker_of(made)
        probe = ray_container(worker)["readinessProbe"]
        assert "8000/-/healthz" in probe["exec"]["command"][2]
        assert probe["failureThreshold"] == 1
        assert worker["metadata"]["labels"]["ray.io/serve"] == "true"
        assert head_of(made)["metadata"]["labels"]["ray.io/serve"] == "false"
        assert env(ray_container(worker))["RAY_SERVE_KV_TIMEOUT_S"] == "5"


class TestAutoscaler:
    def test_a_sidecar_with_its_own_account(self) -> None:
        pod = head_of(cluster(enableInTreeAutoscaling=True))
        sidecar = pod["spec"]["containers"][1]
        assert sidecar["name"] == "autoscaler"
        assert sidecar["args"] == ["ray kuberay-autoscaler --cluster-name $(RAY_CLUSTER_NAME) --cluster-namespace $(RAY_CLUSTER_NAMESPACE)"]
        assert pod["spec"]["serviceAccountName"] == "rc"
        assert " --no-monitor " in ray_container(pod)["args"][0]
        assert [mount["mountPath"] for mount in sidecar["volumeMounts"]] == ["/tmp/ray"]
        assert "RAY_enable_autoscaler_v2" not in env(ray_container(pod))

    @pytest.mark.parametrize(("version", "flag", "restart"), [("v1", "false", None), ("v2", "true", "Never")])
    def test_versions(self, version: str, flag: str, restart: str | None) -> None:
        made = cluster(group(), enableInTreeAutoscaling=True, autoscalerOptions={"version": version})
        assert env(ray_container(head_of(made)))["RAY_enable_autoscaler_v2"] == flag
        assert worker_of(made)["spec"].get("restartPolicy") == restart

    def test_options_replace_and_extend(self) -> None:
        options = {"image": "a:1", "env": [{"name": "X", "value": "1"}], "resources": {"limits": {"cpu": "1"}}, "args": ["y"]}
        sidecar = head_of(cluster(enableInTreeAutoscaling=True, autoscalerOptions=options))["spec"]["containers"][1]
        assert (sidecar["image"], sidecar["args"], sidecar["resources"]) == ("a:1", ["y"], {"limits": {"cpu": "1"}})
        assert env(sidecar)["X"] == "1"
        assert env(sidecar)["KUBERAY_CRD_VER"] == "v1"


class TestFaultTolerance:
    def test_redis(self) -> None:
        options = {"redisAddress": "redis:6379", "redisPassword": {"value": "pw"}}
        pod = head_of(cluster(gcsFaultToleranceOptions=options))
        variables = env(ray_container(pod))
        assert (variables["RAY_REDIS_ADDRESS"], variables["REDIS_PASSWORD"]) == ("redis:6379", "pw")
        assert variables["RAY_external_storage_namespace"] == "uid-rc"
        assert pod["metadata"]["annotations"]["ray.io/ft-enabled"] == "true"
        assert " --redis-password=$REDIS_PASSWORD " in ray_container(pod)["args"][0]
        worker = worker_of(cluster(group(), gcsFaultToleranceOptions=options))
        assert env(ray_container(worker))["RAY_gcs_rpc_server_reconnect_timeout_s"] == "600"

    def test_embedded(self) -> None:
        pod = head_of(cluster(gcsFaultToleranceOptions={"backend": "rocksdb", "storage": {"subPath": "a"}}))
        assert env(ray_container(pod))["RAY_gcs_storage"] == "rocksdb"
        assert {"name": "gcs-storage", "persistentVolumeClaim": {"claimName": "rc-gcs-pvc"}} in pod["spec"]["volumes"]
        assert {"name": "gcs-storage", "mountPath": "/data/gcs", "subPath": "a"} in ray_container(pod)["volumeMounts"]


class TestAuthentication:
    def test_the_token_comes_from_the_clusters_secret(self) -> None:
        made = cluster(group(), rayVersion="2.52.0", authOptions={"mode": "token"})
        variables = env(ray_container(head_of(made)))
        assert variables["RAY_AUTH_MODE"] == "token"
        assert variables["RAY_AUTH_TOKEN"] == {"secretKeyRef": {"name": "rc", "key": "auth_token"}}
        assert "RAY_AUTH_TOKEN" in env(worker_of(made)["spec"]["initContainers"][0])

    def test_kubernetes_tokens_are_mounted(self) -> None:
        pod = head_of(cluster(authOptions={"mode": "token", "enableK8sTokenAuth": True}))
        assert "RAY_AUTH_TOKEN" not in env(ray_container(pod))
        assert {"name": "ray-token", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}} in pod["spec"]["volumes"]

    def test_on_by_default_where_the_settings_say_so(self) -> None:
        settings = RaySettings(token_authentication=True)
        assert "RAY_AUTH_TOKEN" in env(ray_container(head_of(with_default_authentication(cluster(), settings), settings)))
        off = cluster(authOptions={"mode": "disabled"})
        assert with_default_authentication(off, settings) is off
        assert with_default_authentication(cluster(), DEFAULTS).spec.auth_options is None


def test_configured_defaults_fill_gaps_only() -> None:
    settings = RaySettings(
        default_pod_labels={"l": "default", "m": "default"},
        default_pod_annotations={"a": "default"},
        default_container_envs=({"name": "E", "value": "default"}, {"name": "F", "value": "default"}),
        head_sidecar_containers=({"name": "side", "image": "s"},),
    )
    own = template(container(env=[{"name": "E", "value": "own"}]), metadata={"labels": {"l": "own"}})
    pod = head_of(cluster(head={"template": own}), settings)
    assert (pod["metadata"]["labels"]["l"], pod["metadata"]["labels"]["m"]) == ("own", "default")
    assert pod["metadata"]["annotations"]["a"] == "default"
    assert (env(ray_container(pod))["E"], env(ray_container(pod))["F"]) == ("own", "default")
    assert [c["name"] for c in pod["spec"]["containers"]] == ["ray", "side"]


def test_the_collector_gets_rays_events() -> None:
    gates = RaySettings(gates=FeatureGates(ray_cluster_history_server=True))
    made = cluster(historyServerOptions={"collectorOptions": {"image": "c:1", "env": [{"name": "STORAGE_BACKEND", "value": "s3"}]}})
    pod = head_of(made, gates)
    assert [c["name"] for c in pod["spec"]["containers"]] == ["ray", "ray-history-collector"]
    assert env(ray_container(pod))["RAY_enable_ray_event"] == "true"
    assert env(pod["spec"]["containers"][1])["RAY_ROLE"] == "Head"
    assert len(head_of(made)["spec"]["containers"]) == 1


def test_building_changes_nothing_of_the_cluster() -> None:
    made = cluster(group(), enableInTreeAutoscaling=True, gcsFaultToleranceOptions={"redisAddress": "r", "redisPassword": {"value": "x"}})
    before = repr(made)
    head_of(made)
    worker_of(made)
    assert repr(made) == before


def test_long_names_are_cut_at_fifty_characters() -> None:
    pod = worker_of(cluster(group("g" * 40), name="c" * 40))
    assert pod["metadata"]["generateName"] == f"{'c' * 40}-{'g' * 9}-worker-"

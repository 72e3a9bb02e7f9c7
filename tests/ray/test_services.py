"""Services, Ingress, access and storage around a cluster."""

from __future__ import annotations

import pytest

from raysail.ray.cluster import access, redis, storage
from raysail.ray.services.head import head_service, owner_head_service
from raysail.ray.services.ingress import dashboard_ingress
from raysail.ray.services.serve import headless_service, serve_service
from raysail.ray.settings import RaySettings
from tests.ray.builders import cluster, container, env, group, template

DEFAULTS = RaySettings()


def test_the_head_service_is_headless_and_has_rays_ports() -> None:
    service = head_service(cluster(), DEFAULTS)
    assert service["metadata"]["name"] == "rc-head-svc"
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    assert [(p["name"], p["port"], p["appProtocol"]) for p in service["spec"]["ports"]] == [
        ("client", 10001, "tcp"),
        ("dashboard", 8265, "tcp"),
        ("gcs-server", 6379, "tcp"),
        ("metrics", 8080, "tcp"),
        ("serve", 8000, "tcp"),
    ]
    assert service["spec"]["selector"] == service["metadata"]["labels"]


@pytest.mark.parametrize(("kind", "headless"), [("", True), ("ClusterIP", True), ("NodePort", False), ("LoadBalancer", False)])
def test_only_cluster_ip_services_are_headless(kind: str, headless: bool) -> None:
    assert ("clusterIP" in head_service(cluster(head={"serviceType": kind}), DEFAULTS)["spec"]) is headless
    assert "clusterIP" not in head_service(cluster(), RaySettings(head_cluster_ip_service=True))["spec"]


def test_the_containers_ports_take_the_place_of_rays() -> None:
    ports = [{"containerPort": 7000, "protocol": "UDP"}, {"containerPort": 6379, "name": "gcs-server"}]
    service = head_service(cluster(head={"template": template(container(ports=ports))}), DEFAULTS)
    assert [(p["name"], p["port"]) for p in service["spec"]["ports"]] == [("7000-port", 7000), ("gcs-server", 6379), ("metrics", 8080)]
    assert all("protocol" not in p for p in service["spec"]["ports"])


def test_the_users_model_keeps_its_own_and_gets_ours() -> None:
    model = {
        "metadata": {"name": "mine", "namespace": "elsewhere", "labels": {"a": "1", "ray.io/cluster": "x"}, "annotations": {"k": "model"}},
        "spec": {"selector": {"x": "y"}, "ports": [{"name": "extra", "port": 1}], "type": "NodePort"},
    }
    service = head_service(cluster(head={"headService": model}, headServiceAnnotations={"k": "field"}), DEFAULTS)
    assert (service["metadata"]["name"], service["metadata"]["namespace"]) == ("mine", "ns")
    assert (service["metadata"]["labels"]["a"], service["metadata"]["labels"]["ray.io/cluster"]) == ("1", "rc")
    assert service["metadata"]["annotations"] == {"k": "field"}
    assert service["spec"]["ports"][0] == {"name": "extra", "port": 1}
    assert service["spec"]["selector"]["ray.io/node-type"] == "head"
    assert "clusterIP" not in service["spec"]


def test_a_jobs_service_points_at_its_cluster() -> None:
    service = owner_head_service("RayJob", "rj", "u", cluster(name="rj-abcde"), DEFAULTS)
    assert service["metadata"]["name"] == "rj-head-svc"
    assert service["spec"]["selector"]["ray.io/cluster"] == "rj-abcde"
    assert service["metadata"]["labels"]["ray.io/originated-from-cr-name"] == "rj"
    assert service["metadata"]["ownerReferences"][0]["kind"] == "RayJob"


def test_serve_service_needs_a_port() -> None:
    made = cluster(head={"template": template(container(ports=[{"name": "serve-grpc", "containerPort": 9000}]))})
    assert serve_service(made)["spec"]["ports"] == [{"name": "serve-grpc", "port": 9000}]
    with pytest.raises(ValueError, match="'serve'"):
        serve_service(cluster(head={"template": template(container(ports=[{"name": "x", "containerPort": 1}]))}))


def test_hosts_find_each_other() -> None:
    service = headless_service(cluster(group(numOfHosts=2)))
    assert service["metadata"]["name"] == "rc-headless"
    assert service["spec"]["selector"] == {"ray.io/cluster": "rc", "ray.io/node-type": "worker"}


def test_ingress() -> None:
    annotations = {"kubernetes.io/ingress.class": "nginx", "x": "y"}
    options = {"host": "h", "path": "/ray", "pathType": "Exact", "tls": [{"hosts": ["h"]}]}
    ingress = dashboard_ingress(cluster(head={"ingressOptions": options}, metadata={"annotations": annotations}))
    rule = ingress["spec"]["rules"][0]
    assert (rule["host"], rule["http"]["paths"][0]["path"], rule["http"]["paths"][0]["pathType"]) == ("h", "/ray", "Exact")
    assert rule["http"]["paths"][0]["backend"]["service"] == {"name": "rc-head-svc", "port": {"number": 8265}}
    assert ingress["spec"]["ingressClassName"] == "nginx"
    assert ingress["metadata"]["annotations"] == {"x": "y"}
    assert dashboard_ingress(cluster())["spec"]["rules"][0]["http"]["paths"][0]["pathType"] == "Prefix"


def test_access_of_the_autoscaler() -> None:
    made = cluster(head={"template": template(serviceAccountName="mine")})
    assert access.service_account(cluster())["metadata"]["name"] == "rc"
    assert access.role_binding(made)["subjects"][0]["name"] == "mine"
    assert {"apiGroups": ["ray.io"], "resources": ["rayclusters"], "verbs": ["get", "patch"]} in access.role(made)["rules"]


def test_a_token_is_base64_of_its_bytes() -> None:
    secret = access.token_secret(cluster(), b"\0" * 32)
    assert secret["data"]["auth_token"] == "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQT0="
    assert secret["metadata"]["name"] == "rc"


def test_a_retained_claim_has_no_owner() -> None:
    made = cluster(gcsFaultToleranceOptions={"backend": "rocksdb", "storage": {"deletionPolicy": "Retain", "size": "2Gi"}})
    wanted = storage.storage_of(made)
    assert wanted is not None
    claim = storage.claim(made, wanted)
    assert "ownerReferences" not in claim["metadata"]
    assert claim["spec"]["resources"]["requests"]["storage"] == "2Gi"
    found = {"spec": {"resources": {"requests": {"storage": "1Gi"}}, "accessModes": ["ReadWriteOnce"], "storageClassName": "any"}}
    assert storage.drift(claim, found) == "requested size 2Gi != current 1Gi"


def test_redis_is_emptied_by_the_heads_image_without_probes() -> None:
    made = cluster(enableInTreeAutoscaling=True, gcsFaultToleranceOptions={"redisAddress": "r:1", "redisUsername": {"value": "u"}})
    job = redis.cleanup_job(made, DEFAULTS)
    pod = job["spec"]["template"]
    (only,) = pod["spec"]["containers"]
    assert job["metadata"]["name"] == "rc-redis-cleanup"
    assert pod["metadata"]["labels"]["ray.io/node-type"] == "redis-cleanup"
    assert (pod["spec"]["restartPolicy"], job["spec"]["backoffLimit"], job["spec"]["activeDeadlineSeconds"]) == ("Never", 0, 300)
    assert "livenessProbe" not in only
    assert "username=os.getenv('REDIS_USERNAME'" in only["args"][0]
    assert env(only)["RAY_redis_db_connect_retries"] == "120"
    assert "name" not in pod["metadata"]

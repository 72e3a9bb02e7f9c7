"""The real kubectl against the embedded API."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.apiserver.conftest import Http

pytestmark = [
    pytest.mark.kubectl,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not installed: https://kubernetes.io/docs/tasks/tools"),
]

RAY_CLUSTER = """
apiVersion: ray.io/v1
kind: RayCluster
metadata: {name: demo}
spec:
  headGroupSpec:
    rayStartParams: {}
    template: {spec: {containers: [{name: head, image: rayproject/ray}]}}
"""
DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template: {metadata: {labels: {app: web}}, spec: {containers: [{name: c, image: nginx}]}}
"""


class Kubectl:
    """Runs kubectl as the administrator, in the test's namespace."""

    def __init__(self, http: Http, folder: Path) -> None:
        self.environment = {**os.environ, "KUBECONFIG": str(http.api.kubeconfig(folder / "kubeconfig", http.ns)), "HOME": str(folder)}

    async def process(self, *arguments: str, **options: Any) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            "kubectl",
            *arguments,
            env={**self.environment, **options.pop("env", {})},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def __call__(self, *arguments: str, stdin: str = "", fails: bool = False, env: dict[str, str] | None = None) -> str:
        """What it printed; its complaint where it has to fail."""
        process = await self.process(*arguments, env=env or {})
        out, err = await asyncio.wait_for(process.communicate(stdin.encode()), 60)
        assert (process.returncode != 0) == fails, (arguments, err.decode())
        return (err if fails else out).decode()


@pytest.fixture
def kubectl(http: Http, tmp_path: Path) -> Kubectl:
    return Kubectl(http, tmp_path)


async def test_apply_get_describe_and_delete(kubectl: Kubectl) -> None:
    assert await kubectl("apply", "-f", "-", stdin=RAY_CLUSTER) == "raycluster.ray.io/demo created\n"
    assert await kubectl("apply", "-f", "-", stdin=RAY_CLUSTER) == "raycluster.ray.io/demo unchanged\n"
    assert "demo" in await kubectl("get", "raycluster")
    assert yaml.safe_load(await kubectl("get", "raycluster", "demo", "-o", "yaml"))["kind"] == "RayCluster"
    assert await kubectl("get", "raycluster", "demo", "-o", "jsonpath={.metadata.name}") == "demo"
    described = await kubectl("describe", "raycluster", "demo")
    assert "Head Group Spec" in described
    assert await kubectl("delete", "raycluster", "demo") == 'raycluster.ray.io "demo" deleted\n'
    assert "NotFound" in await kubectl("get", "raycluster", "demo", fails=True)


async def test_server_side_apply_tells_of_conflicts(kubectl: Kubectl) -> None:
    await kubectl("apply", "--server-side", "-f", "-", stdin=DEPLOYMENT)
    other = DEPLOYMENT.replace("replicas: 2", "replicas: 3")
    complaint = await kubectl("apply", "--server-side", "--field-manager=other", "-f", "-", stdin=other, fails=True)
    assert 'conflict with "kubectl": .spec.replicas' in complaint
    await kubectl("apply", "--server-side", "--field-manager=other", "--force-conflicts", "-f", "-", stdin=other)
    assert await kubectl("get", "deploy", "web", "-o", "jsonpath={.spec.replicas}") == "3"


async def test_label_annotate_patch_scale_and_edit(kubectl: Kubectl) -> None:
    await kubectl("create", "-f", "-", stdin=DEPLOYMENT)
    assert "labeled" in await kubectl("label", "deploy", "web", "team=red")
    assert "annotated" in await kubectl("annotate", "deploy", "web", "note=x")
    assert "patched" in await kubectl(
        "patch", "deploy", "web", "-p", '{"spec":{"template":{"spec":{"containers":[{"name":"c","image":"i2"}]}}}}'
    )
    assert "scaled" in await kubectl("scale", "deploy", "web", "--replicas=5")
    edited = await kubectl("edit", "deploy", "web", env={"EDITOR": "sed -i 's/replicas: 5/replicas: 6/'"})
    assert "edited" in edited
    found = json.loads(await kubectl("get", "deploy", "web", "-o", "json"))
    assert (found["spec"]["replicas"], found["metadata"]["labels"]["team"]) == (6, "red")
    assert found["spec"]["template"]["spec"]["containers"][0]["image"] == "i2"


async def test_watching_and_waiting(kubectl: Kubectl, http: Http) -> None:
    watching = await kubectl.process("get", "configmaps", "-w", "--no-headers", "-o", "name")
    assert watching.stdout is not None
    waiting = asyncio.create_task(kubectl("wait", "configmap/late", "--for=create", "--timeout=30s"))
    await http("POST", f"{http.core}/configmaps", {"metadata": {"name": "late"}})
    assert (await asyncio.wait_for(watching.stdout.readline(), 30)).decode() == "configmap/late\n"
    assert "condition met" in await waiting
    going = asyncio.create_task(kubectl("wait", "configmap/late", "--for=delete", "--timeout=30s"))
    await http("DELETE", f"{http.core}/configmaps/late")
    await going
    watching.terminate()
    await watching.communicate()


async def test_explain_api_resources_and_can_i(kubectl: Kubectl) -> None:
    assert "FIELD: spec" in await kubectl("explain", "raycluster.spec")
    listed = await kubectl("api-resources", "--api-group=kueue.x-k8s.io", "-o", "name")
    assert "clusterqueues.kueue.x-k8s.io" in listed
    assert await kubectl("auth", "can-i", "create", "pods") == "yes\n"
    await kubectl("auth", "can-i", "create", "pods", "--as=zoe", fails=True)


async def test_typos_are_found_before_anything_is_stored(kubectl: Kubectl) -> None:
    complaint = await kubectl("apply", "-f", "-", stdin=DEPLOYMENT.replace("replicas", "replica"), fails=True)
    assert 'unknown field "spec.replica"' in complaint


async def test_create_priorityclass_and_events(kubectl: Kubectl, http: Http) -> None:
    assert "created" in await kubectl("create", "priorityclass", f"{http.ns}-high", "--value=1000", "--description=high")
    event = {
        "metadata": {"name": "e"},
        "involvedObject": {"kind": "Pod", "name": "p", "namespace": http.ns},
        "reason": "Started",
        "message": "it runs",
    }
    assert (await http("POST", f"{http.core}/events", event))[0] == 201
    assert "it runs" in await kubectl("events")

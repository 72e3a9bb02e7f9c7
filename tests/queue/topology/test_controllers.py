"""Topology on the embedded API: Pods get their place, a failed node's Pods another one, and a restart forgets nothing."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

from raysail.api.kueue import names
from raysail.api.kueue.topologycoding import decode
from raysail.api.resources import CLUSTER_QUEUES, JOBS, LOCAL_QUEUES, NODES, PODS, RESOURCE_FLAVORS, TOPOLOGIES, WORKLOADS
from tests.queue.test_controllers import Stage
from tests.queue.topology.builders import HOST, LEVELS
from tests.support.embedded import embedded_api

Objects = dict[str, dict[str, Any]]


async def _ground(here: Stage, hosts: str) -> None:
    """One rack of hosts with two cores each, and a queue on them."""
    await here.create(TOPOLOGIES, "t", spec={"levels": [{"nodeLabel": level} for level in LEVELS]})
    await here.create(RESOURCE_FLAVORS, "rf", spec={"nodeLabels": {"pool": "p"}, "topologyName": "t"})
    flavors = [{"name": "rf", "resources": [{"name": "cpu", "nominalQuota": "100"}]}]
    groups = [{"coveredResources": ["cpu"], "flavors": flavors}]
    await here.create(CLUSTER_QUEUES, "cq", spec={"namespaceSelector": {}, "resourceGroups": groups})
    await here.create(LOCAL_QUEUES, "lq", spec={"clusterQueue": "cq"})
    for host in hosts:
        await _node(here, host)


async def _node(here: Stage, host: str) -> None:
    await here.create(NODES, host, labels={"pool": "p", "block": "b", "rack": "r", HOST: host}, spec={})
    now = "2026-01-01T00:00:00Z"
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "KubeletReady",
        "message": "",
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    }
    amounts = {"cpu": "2", "memory": "4Gi", "pods": "10"}
    status = {"allocatable": amounts, "capacity": amounts, "conditions": [ready]}
    await here.client.patch(NODES, host, {"status": status}, subresource="status")
    await here.client.patch(NODES, host, {"spec": {"taints": None}})


async def _job(here: Stage, name: str, pods: int, cpu: str) -> None:
    containers = [{"name": "c", "image": "i", "resources": {"requests": {"cpu": cpu}}}]
    template = {
        "metadata": {"annotations": {names.POD_SET_REQUIRED_TOPOLOGY_ANNOTATION: "rack"}},
        "spec": {"restartPolicy": "Never", "containers": containers},
    }
    spec = {"parallelism": pods, "completions": pods, "template": template}
    await here.create(JOBS, name, labels={"kueue.x-k8s.io/queue-name": "lq"}, spec=spec)


async def _pods(here: Stage, job: dict[str, Any], count: int) -> None:
    """What the Job's controller would make."""
    for number in range(count):
        template = copy.deepcopy(job["spec"]["template"])
        name = f"{job['metadata']['name']}-{number}"
        body = {"apiVersion": "v1", "kind": "Pod", **template, "metadata": {**template["metadata"], "name": name}}
        await here.client.create(PODS, body, "default")


def _hosts(found: Objects) -> Iterator[dict[str, int]]:
    """Places of each Workload that has some."""
    for workload in found.values():
        for given in workload.get("status", {}).get("admission", {}).get("podSetAssignments", ()):
            if given.get("topologyAssignment"):
                yield {domain.values[-1]: domain.count for domain in decode(given["topologyAssignment"])}


async def test_pods_get_their_place_and_another_one_when_their_node_is_gone() -> None:
    async with embedded_api(port=None) as api:
        here = Stage(api.client)
        await _ground(here, "abc")
        async with here.controllers():
            await _job(here, "j", pods=2, cpu="2")
            job = (await here.running("j"))["j"]
            assert {"name": names.TOPOLOGY_GATE} in job["spec"]["template"]["spec"]["schedulingGates"]
            await _pods(here, job, 2)
            placed = await here.until(
                PODS, lambda pods: len(pods) == 2 and not any(p["spec"].get("schedulingGates") for p in pods.values())
            )
            assert sorted(pod["spec"]["nodeSelector"][HOST] for pod in placed.values()) == ["a", "b"]
            assert list(_hosts(await here.objects(WORKLOADS))) == [{"a": 1, "b": 1}]
            await here.client.delete(NODES, "a")
            found = await here.until(WORKLOADS, lambda each: list(_hosts(each)) == [{"b": 1, "c": 1}])
            assert not any(each["status"].get("unhealthyNodes") for each in found.values())
            await here.client.delete(NODES, "b")  # now there is no third host
            gone = await here.until(WORKLOADS, lambda each: any("Evicted" in json.dumps(e["status"]["conditions"]) for e in each.values()))
            (workload,) = gone.values()
            evicted = next(each for each in workload["status"]["conditions"] if each["type"] == "Evicted")
            assert (evicted["reason"], evicted["message"]) == (
                "NodeFailures",
                "Workload was evicted as there was no replacement for unhealthy node(s): b",
            )


async def test_after_a_restart_places_still_count_and_a_new_node_lets_the_waiting_in() -> None:
    async with embedded_api(port=None) as api:
        here = Stage(api.client)
        await _ground(here, "ab")
        async with here.controllers():
            await _job(here, "first", pods=1, cpu="2")
            await here.running("first")
        async with here.controllers():
            await _job(here, "second", pods=2, cpu="2")
            await here.until(WORKLOADS, lambda found: any("allows to fit only 1 out of 2" in json.dumps(each) for each in found.values()))
            await here.running("first")
            await _node(here, "c")
            await here.running("first", "second")
            assert sorted(map(sorted, _hosts(await here.objects(WORKLOADS)))) == [["a"], ["b", "c"]]

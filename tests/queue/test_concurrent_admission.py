"""Concurrent admission on the embedded API: the job runs on the first flavor that has room, and moves when a better one does."""

from __future__ import annotations

from typing import Any

from raysail.api.resources import CLUSTER_QUEUES, JOBS, LOCAL_QUEUES, RESOURCE_FLAVORS, WORKLOADS
from raysail.queue import QueueSettings
from tests.queue.test_multikueue import Cluster, controllers, holds
from tests.support.embedded import embedded_api

GATES = {"ConcurrentAdmission": True}


def quotas(**cpu: str) -> list[dict[str, Any]]:
    flavors = [{"name": name, "resources": [{"name": "cpu", "nominalQuota": cores}]} for name, cores in cpu.items()]
    return [{"coveredResources": ["cpu"], "flavors": flavors}]


def runs_on(workloads: dict[str, dict[str, Any]]) -> list[str]:
    """The flavors of the variants that are admitted."""
    annotation = "kueue.x-k8s.io/workload-allowed-resource-flavors"
    found = [
        w["metadata"]["annotations"][annotation] for w in workloads.values() if holds(w, "Admitted") and "variant" in w["metadata"]["name"]
    ]
    return sorted(found)


async def test_the_first_flavor_with_room_runs_the_job() -> None:
    async with embedded_api() as api:
        home = Cluster(api)
        for flavor in ("reserved", "spot"):
            await home.create(RESOURCE_FLAVORS, flavor, spec={"nodeLabels": {"pool": flavor}})
        policy = {"migration": {"mode": "RetainFirstAdmission"}}
        spec = {"namespaceSelector": {}, "resourceGroups": quotas(reserved="0", spot="4"), "concurrentAdmissionPolicy": policy}
        await home.create(CLUSTER_QUEUES, "cq", spec=spec)
        await home.create(LOCAL_QUEUES, "lq", spec={"clusterQueue": "cq"})
        async with controllers(api, QueueSettings(feature_gates=GATES)):
            containers = [{"name": "c", "image": "i", "resources": {"requests": {"cpu": "1"}}}]
            template = {"spec": {"restartPolicy": "Never", "containers": containers}}
            await home.create(JOBS, "a", metadata={"labels": {"kueue.x-k8s.io/queue-name": "lq"}}, spec={"template": template})
            await home.until(WORKLOADS, lambda found: runs_on(found) == ["spot"])
            jobs = await home.until(JOBS, lambda found: not found["a"]["spec"].get("suspend"))
            workloads = await home.objects(WORKLOADS)
        assert jobs["a"]["spec"]["template"]["spec"]["nodeSelector"] == {"pool": "spot"}
        assert runs_on(workloads) == ["spot"]
        assert len(workloads) == 3

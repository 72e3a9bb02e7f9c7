"""Claims get folders; quotas know what is used."""

from __future__ import annotations

from pathlib import Path

from raysail.api.resources import CONFIG_MAPS, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, RESOURCE_QUOTAS, STORAGE_CLASSES
from raysail.builtin.volumes.claims import PROVISIONER
from tests.builtin.conftest import Cluster, cluster


async def claim(c: Cluster, **spec: object) -> None:
    if await c.get(STORAGE_CLASSES, "local-path") is None:  # the embedded API brings it
        await c.create(STORAGE_CLASSES, "local-path", provisioner=PROVISIONER)
    wanted = {"storageClassName": "local-path", "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec}
    await c.create(PERSISTENT_VOLUME_CLAIMS, "data", spec=wanted)


async def test_a_claim_gets_a_folder_that_goes_with_it(tmp_path: Path) -> None:
    async with cluster("pvc", volumes_folder=tmp_path) as c:
        await claim(c)
        bound = await c.until(PERSISTENT_VOLUME_CLAIMS, "data", lambda o: o and (o.get("status") or {}).get("phase") == "Bound")
        assert bound is not None
        assert bound["status"]["capacity"] == {"storage": "1Gi"}
        folder = tmp_path / bound["spec"]["volumeName"]
        assert folder.is_dir()
        (folder / "file").write_text("x")
        await c.pod("user", spec={"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "data"}}]})
        await c.pods_until(lambda pods: pods)
        volume = await c.get(PERSISTENT_VOLUMES, folder.name)
        assert volume is not None
        assert volume["status"]["phase"] == "Bound"
        await c.client.delete(PERSISTENT_VOLUME_CLAIMS, "data", "ns")
        assert (await c.get(PERSISTENT_VOLUME_CLAIMS, "data")) is not None, "a Pod uses it"
        assert folder.is_dir()
        await c.set_pod("user", "Succeeded", ready=False)
        await c.gone(PERSISTENT_VOLUMES, folder.name)
        assert not folder.exists()


async def test_a_volume_that_somebody_made_is_taken(tmp_path: Path) -> None:
    async with cluster("pvc", volumes_folder=tmp_path) as c:
        spec = {
            "capacity": {"storage": "5Gi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "by-hand",
            "hostPath": {"path": "/srv/data"},
            "persistentVolumeReclaimPolicy": "Retain",
        }
        await c.create(PERSISTENT_VOLUMES, "mine", spec=spec)
        await claim(c, storageClassName="by-hand")
        bound = await c.until(PERSISTENT_VOLUME_CLAIMS, "data", lambda o: o and (o.get("status") or {}).get("phase") == "Bound")
        assert bound is not None
        assert bound["spec"]["volumeName"] == "mine"
        await c.client.delete(PERSISTENT_VOLUME_CLAIMS, "data", "ns")
        await c.until(PERSISTENT_VOLUMES, "mine", lambda o: o and o["status"]["phase"] == "Released")


async def test_a_quota_counts_what_is_there() -> None:
    async with cluster("resourcequota") as c:
        await c.create(RESOURCE_QUOTAS, "q", spec={"hard": {"pods": "10", "requests.cpu": "4", "count/configmaps": "5"}})
        await c.config_map("a")
        await c.pod("p", {"cpu": "1500m"})
        found = await c.until(RESOURCE_QUOTAS, "q", lambda o: o and (o.get("status") or {}).get("used", {}).get("pods") == "1")
        assert found is not None
        assert found["status"]["used"]["requests.cpu"] == "1500m"
        assert found["status"]["hard"]["pods"] == "10"
        assert int(found["status"]["used"]["count/configmaps"]) <= len(await c.listed(CONFIG_MAPS))
        await c.set_pod("p", "Succeeded", ready=False)
        await c.until(RESOURCE_QUOTAS, "q", lambda o: o and o["status"]["used"]["pods"] == "0")

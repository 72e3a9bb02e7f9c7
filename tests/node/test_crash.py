"""The agent dies with kill -9, Pods live on, the next agent goes on with them; and what a Pod leaves behind when it is deleted."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from raysail.api.resources import PODS
from raysail.node.sandbox import MARK
from raysail.node.settings import NodeSettings, parse_nodes
from tests.node.running import Machine, agent_running, namespace_contents, phase, ready, remove_all, shell
from tests.support.embedded import embedded_api


def marked(uid: str) -> list[int]:
    """All processes of a Pod, its supervisor included."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if f"{MARK}={uid}".encode() in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


async def start_agent(home: Path, socket: Path) -> asyncio.subprocess.Process:
    """An agent as a process of its own."""
    arguments = [
        "--home",
        str(home / "node"),
        "--run",
        str(home / "run"),
        "--api-socket",
        str(socket),
        "--nodes",
        "cpu=4,memory=8Gi",
        "--no-warm-ray",
    ]
    arguments += ["--pod-cidr", "127.97.128.0/17", "--service-cidr", "127.97.0.0/20"]
    return await asyncio.create_subprocess_exec(sys.executable, "-m", "raysail.node", *arguments, stderr=asyncio.subprocess.DEVNULL)


@pytest.mark.slow
async def test_pods_outlive_a_killed_agent_and_are_adopted(tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("crash")
    async with embedded_api(port=None, install_crds=False) as api:
        await namespace_contents(api.client)
        agent = await start_agent(home, api.socket)
        node = parse_nodes("cpu=4,memory=8Gi")[0]
        settings = NodeSettings(
            home / "node", home / "run", api.socket, nodes=(node,), warm_ray=False, pod_cidr="127.97.128.0/17", service_cidr="127.97.0.0/20"
        )
        here = Machine(api.client, None, settings)  # type: ignore[arg-type]
        for name, script in (("stays", "echo begun; sleep 300"), ("ends", "sleep 1; exit 4"), ("doomed", "sleep 300")):
            await here.create(name, [shell(script)], restartPolicy="Never")
        before = await here.until("stays", ready)
        doomed = await here.until("doomed", ready)
        await here.until("ends", phase("Running"))
        agent.send_signal(signal.SIGKILL)
        await agent.wait()
        assert marked(before["metadata"]["uid"])
        # While no agent is there, one Pod ends by itself and another one is removed from the API.
        await here.client.delete(PODS, "doomed", "default", grace_seconds=0)
        await asyncio.sleep(1.2)
        async with agent_running(settings) as second:
            here.agent = second
            ended = await here.until("ends", phase("Failed"))
            assert ended["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 4
            after = await here.until("stays", ready)
            assert after["status"]["containerStatuses"] == before["status"]["containerStatuses"]
            assert after["status"]["podIP"] == before["status"]["podIP"]
            async with asyncio.timeout(20):
                while marked(doomed["metadata"]["uid"]):
                    await asyncio.sleep(0.02)
            await here.client.delete(PODS, "stays", "default", grace_seconds=1)
            await here.gone("stays")
            assert not marked(before["metadata"]["uid"])
            await remove_all(here)


async def test_a_killed_supervisor_takes_its_containers_along_and_they_are_started_again(tmp_path_factory: pytest.TempPathFactory) -> None:
    from tests.node.running import machine

    async with machine() as here:
        await here.create("hit", [shell("(setsid sleep 301 &) ; sleep 300")])
        pod = await here.until("hit", ready)
        uid = pod["metadata"]["uid"]
        supervisor = next(
            int(p.name)
            for p in Path("/proc").iterdir()
            if p.name.isdigit()
            and f"supervisor/__main__.py\0{here.settings.pods / uid}" in (p / "cmdline").read_text()
            and int(_parent(p)) in (1, os.getpid())
        )
        os.kill(supervisor, signal.SIGKILL)
        again = await here.until("hit", lambda p: p["status"]["containerStatuses"][0]["restartCount"] == 1 and ready(p))
        last = again["status"]["containerStatuses"][0]["lastState"]["terminated"]
        assert (last["exitCode"], last["reason"]) == (137, "ContainerStatusUnknown")
        sleepers = [p for p in marked(uid) if b"sleep\x00301" in Path(f"/proc/{p}/cmdline").read_bytes()]
        assert len(sleepers) == 1
        await here.client.delete(PODS, "hit", "default", grace_seconds=0)
        await here.gone("hit")
        # Without a grace period the object goes first, then the processes.
        async with asyncio.timeout(10):
            while marked(uid):
                await asyncio.sleep(0.02)


def _parent(process: Path) -> str:
    return (process / "stat").read_text().rpartition(")")[2].split()[1]

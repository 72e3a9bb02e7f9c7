"""The process as a whole: it starts, works, tells its health, survives the API, and stops in good order."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from raysail.api.core import ConfigMap
from raysail.api.resources import CONFIG_MAPS, LEASES, NAMESPACES, SERVICE_ACCOUNTS
from raysail.builtin.settings import BuiltinSettings
from raysail.kube.connection import unix_socket
from raysail.kube.http import HttpClient
from raysail.kube.informer import Informer
from raysail.kube.manager import Manager
from raysail.operator.health import serve_health
from raysail.operator.process import build, run
from raysail.operator.settings import KNOWN, LeaderSettings, OperatorSettings
from tests.support.embedded import api_process, embedded_api


def settings(socket: Path, *controllers: str, **more: object) -> OperatorSettings:
    return OperatorSettings(connection=unix_socket(socket), controllers=frozenset(controllers), **more)  # type: ignore[arg-type]


async def test_all_controllers_fit_on_one_manager() -> None:
    """Informers are shared: two controllers must not give one index name two meanings."""
    chosen = settings(Path("/nonexistent.sock"), *KNOWN)
    async with HttpClient(chosen.connection) as client:
        manager = build(chosen, client)
        assert set(manager.backlogs()) >= {"binder", "job", "garbage-collector", "namespace"}


async def test_works_until_told_to_stop(tmp_path: Path) -> None:
    async with embedded_api(port=None) as api, asyncio.timeout(30):
        stop = asyncio.Event()
        running = asyncio.create_task(
            run(settings(api.socket, "serviceaccount", builtin=BuiltinSettings(root_ca_file=tmp_path / "ca.crt")), stop)
        )
        await api.client.create(NAMESPACES, {"metadata": {"name": "ns"}})
        (tmp_path / "ca.crt").write_text("CA")  # made later than the process started
        informer = Informer(api.client, CONFIG_MAPS, ConfigMap)
        following = asyncio.create_task(informer.run())
        await informer.until(lambda: informer.get("ns", "kube-root-ca.crt") is not None)
        following.cancel()
        stop.set()
        await running


async def test_a_leader_gives_its_lease_back() -> None:
    async with embedded_api(port=None) as api, asyncio.timeout(30):
        stop = asyncio.Event()
        chosen = settings(api.socket, "namespace", leader=LeaderSettings(name="lock"))
        running = asyncio.create_task(run(chosen, stop))
        informer = Informer(api.client, LEASES, ConfigMap)
        following = asyncio.create_task(informer.run())
        await informer.until(lambda: informer.get("default", "lock") is not None)
        following.cancel()
        stop.set()
        await running
        lease = await api.client.get(LEASES, "lock", "default")
        assert not lease["spec"].get("holderIdentity")


async def test_health() -> None:
    async with embedded_api(port=None) as api:
        manager = Manager(api.client)
        manager.add_metrics(lambda: 1 / 0)  # type: ignore[arg-type, return-value]
        manager.add_metrics(lambda: ["# TYPE kueue_pending_workloads gauge", 'kueue_pending_workloads{cluster_queue="a"} 3'])
        server = await serve_health("127.0.0.1:0", manager)

        async def ask(path: str) -> tuple[int, str]:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            answer = (await reader.read()).decode()
            writer.close()
            return int(answer.split(" ", 2)[1]), answer.partition("\r\n\r\n")[2]

        assert (await ask("/healthz"))[0] == 200
        assert (await ask("/readyz"))[0] == 500
        async with manager:
            assert (await ask("/readyz"))[0] == 200
            code, text = await ask("/metrics")
            assert code == 200
            assert "raysail_ready 1\n" in text
            assert 'kueue_pending_workloads{cluster_queue="a"} 3\n' in text
        assert (await ask("/nowhere"))[0] == 404
        await server.close()


async def test_a_refused_command_line_says_why_and_ends_with_2() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "raysail.operator", "--controllers=nonsense", "--socket=/x", stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    assert process.returncode == 2
    assert b"raysail operator: --controllers: there is no controller 'nonsense'" in said


async def test_a_port_in_use_says_which() -> None:
    taken = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    address = f"127.0.0.1:{taken.sockets[0].getsockname()[1]}"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "raysail.operator", "--only=ray", "--socket=/x", f"--metrics-addr={address}", stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    taken.close()
    assert process.returncode == 1
    assert b"raysail operator: " in said
    assert address.rpartition(":")[2].encode() in said
    assert b"Traceback" not in said


@pytest.mark.slow
async def test_the_api_is_killed_and_comes_back() -> None:
    async with api_process() as api, asyncio.timeout(90):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "raysail.operator", f"--socket={api.socket}", "--controllers=serviceaccount,namespace,gc",
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stderr is not None
        log: list[str] = []

        async def said(text: str) -> None:
            assert process.stderr is not None
            while text not in (line := (await process.stderr.readline()).decode()):
                log.append(line)
                assert line, "".join(log)

        try:
            await said("ready")
            for round_ in range(2):
                await api.kill()
                await said("the API server is away")
                await api.start()
                await said("the API server is back")
                async with api.client() as client:
                    name = f"ns{round_}"
                    await client.create(NAMESPACES, {"metadata": {"name": name}})
                    informer = Informer(client, SERVICE_ACCOUNTS, ConfigMap)
                    following = asyncio.create_task(informer.run())
                    await informer.until(lambda name=name, informer=informer: informer.get(name, "default") is not None)  # type: ignore[misc]
                    following.cancel()
            process.send_signal(signal.SIGTERM)
            await said("stopped")
            assert await process.wait() == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

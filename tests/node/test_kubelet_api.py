"""The kubelet-like API over its Unix socket: logs, exec, attach, port-forward."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import orjson
import pytest
import pytest_asyncio

from raysail.api.resources import PODS
from tests.node.running import Machine, machine, phase, ready, shell

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here() -> AsyncIterator[Machine]:
    async with machine() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def session(here: Machine) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession("http://node", connector=aiohttp.UnixConnector(str(here.settings.socket))) as opened:
        yield opened


async def result(socket: aiohttp.ClientWebSocketResponse) -> tuple[dict[int, bytes], dict[str, object]]:
    """All output by channel, and the Status at the end."""
    output: dict[int, bytes] = {}
    async for message in socket:
        channel, data = message.data[0], message.data[1:]
        if channel == 3:
            return output, orjson.loads(data)
        output[channel] = output.get(channel, b"") + data
    raise AssertionError(f"closed without a result: {output}")


async def test_logs_with_tail_timestamps_and_limit(here: Machine, session: aiohttp.ClientSession) -> None:
    await here.create("writes", [shell("for i in 1 2 3 4 5; do echo line $i; done")], restartPolicy="Never")
    await here.until("writes", phase("Succeeded"))
    path = "/containerLogs/default/writes/main"
    assert await (await session.get(path)).text() == "".join(f"line {i}\n" for i in range(1, 6))
    assert await (await session.get(path, params={"tailLines": "2"})).text() == "line 4\nline 5\n"
    assert await (await session.get(path, params={"limitBytes": "8"})).text() == "line 1\nl"
    stamped = await (await session.get(path, params={"timestamps": "true", "tailLines": "1"})).text()
    assert stamped.endswith("Z line 5\n")
    since = stamped.split(" ")[0].replace("2026", "2126")
    assert await (await session.get(path, params={"sinceTime": since})).text() == ""
    refused = await session.get(path, params={"previous": "true"})
    assert (refused.status, await refused.text()) == (400, 'previous terminated container "main" in pod "writes" not found')


async def test_a_followed_log_ends_with_its_container(here: Machine, session: aiohttp.ClientSession) -> None:
    await here.create("talks", [shell("for i in 1 2 3; do echo $i; sleep 0.2; done")], restartPolicy="Never")
    await here.until("talks", lambda p: p["status"].get("phase") in ("Running", "Succeeded"))
    async with asyncio.timeout(15), session.get("/containerLogs/default/talks/main", params={"follow": "true"}) as answer:
        assert await answer.text() == "1\n2\n3\n"


async def test_exec_separates_streams_and_tells_the_exit_code(here: Machine, session: aiohttp.ClientSession) -> None:
    await here.create("serves", [shell("echo begun; trap 'exit 0' TERM; sleep 100 & wait", env=[{"name": "COLOR", "value": "red"}])])
    await here.until("serves", ready)
    params = [("command", "sh"), ("command", "-c"), ("command", "cat; echo $COLOR $(hostname); echo bad >&2; exit 7"), ("stdin", "true")]
    async with session.ws_connect("/exec/default/serves/main", params=params, protocols=["v5.channel.k8s.io"]) as socket:
        await socket.send_bytes(b"\0typed\n")
        await socket.send_bytes(b"\xff\0")
        output, status = await result(socket)
    assert output == {1: b"typed\nred serves\n", 2: b"bad\n"}
    assert status["reason"] == "NonZeroExitCode"
    assert status["details"] == {"causes": [{"reason": "ExitCode", "message": "7"}]}


async def test_exec_with_a_terminal(here: Machine, session: aiohttp.ClientSession) -> None:
    params = [
        ("command", "bash"),
        ("command", "-c"),
        ("command", "tty; stty size; read x; echo got $x"),
        ("stdin", "true"),
        ("tty", "true"),
    ]
    async with session.ws_connect("/exec/default/serves/main", params=params, protocols=["v5.channel.k8s.io"]) as socket:
        await socket.send_bytes(b'\x04{"Width":100,"Height":40}')
        await socket.send_bytes(b"\0hello\n")
        output, status = await result(socket)
    text = output[1].decode()
    assert "/dev/pts/" in text
    assert "got hello" in text
    assert status["status"] == "Success"


async def test_exec_of_a_missing_program_is_an_error(here: Machine, session: aiohttp.ClientSession) -> None:
    async with session.ws_connect("/exec/default/serves/main", params=[("command", "no-such")], protocols=["v5.channel.k8s.io"]) as socket:
        _, status = await result(socket)
    assert status["status"] == "Failure"
    assert "executable file not found in $PATH" in str(status["message"])


async def test_a_client_that_goes_takes_its_program_with_it(here: Machine, session: aiohttp.ClientSession) -> None:
    pod = await here.client.get(PODS, "serves", "default")
    mark = here.settings.pods / pod["metadata"]["uid"] / "home" / "mark"
    params = [("command", "sh"), ("command", "-c"), ("command", "trap '' HUP; sleep 1; touch $HOME/mark"), ("stdin", "true")]
    async with session.ws_connect("/exec/default/serves/main", params=params, protocols=["v5.channel.k8s.io"]):
        await asyncio.sleep(0.2)
    await asyncio.sleep(1.2)
    assert not mark.exists()


async def test_port_forward_reaches_a_server_that_binds_the_wildcard(here: Machine, session: aiohttp.ClientSession) -> None:
    server = shell("python -m http.server 8000", readinessProbe={"tcpSocket": {"port": 8000}, "periodSeconds": 1})
    for name in ("web-a", "web-b"):
        await here.create(name, [server])
    first, second = await here.until("web-a", ready), await here.until("web-b", ready)
    assert first["status"]["podIP"] != second["status"]["podIP"]
    async with session.ws_connect("/portForward/default/web-a/8000") as socket:
        await socket.send_bytes(b"GET / HTTP/1.0\r\n\r\n")
        answer = b"".join([m.data async for m in socket])
    assert answer.startswith(b"HTTP/1.0 200 OK")


async def test_attach_types_into_a_container(here: Machine, session: aiohttp.ClientSession) -> None:
    await here.create("listens", [shell("while read x; do echo heard $x; done", stdin=True)], restartPolicy="Never")
    await here.until("listens", ready)
    async with session.ws_connect("/attach/default/listens/main", params={"stdin": "true"}, protocols=["v5.channel.k8s.io"]) as socket:
        await socket.send_bytes(b"\0hello\n")
        message = await socket.receive(timeout=10)
        assert message.data == b"\x01heard hello\n"

"""Running a command in a container and reading what it prints: exec probes and hooks."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Sequence
from typing import Final

from raysail.node.sandbox import SandboxError, Supervisor

_OUTPUT_LIMIT: Final = 10 * 1024
_DRAIN_SECONDS: Final = 0.5
"""After the command's end what it left in the pipe is read for so long; a child of it may hold the pipe open for ever."""


async def run_command(supervisor: Supervisor, container: str, argv: Sequence[str]) -> tuple[int, str]:
    """(exit code, the beginning of its output). 128 and the reason when it cannot be started. Cancelled, it kills the command."""
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    read, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    os.set_blocking(write, True)
    try:
        program = await supervisor.execute(container, argv, (null, write, write))
    except SandboxError as error:
        os.close(read)
        return 128, str(error)
    except BaseException:
        os.close(read)
        raise
    finally:
        os.close(null)
        os.close(write)
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read, "rb", 0)
    )
    output = bytearray()
    try:
        reading = asyncio.create_task(_keep(reader, output))
        try:
            code = await program.wait()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reading, _DRAIN_SECONDS)
        finally:
            reading.cancel()
    finally:
        program.close()
        transport.close()
    return code, bytes(output).decode(errors="replace")


async def _keep(reader: asyncio.StreamReader, output: bytearray) -> None:
    while chunk := await reader.read(65536):
        output += chunk[: max(0, _OUTPUT_LIMIT - len(output))]

"""Ending all Pods of an instance at once: `raysail down`. Their objects stay; the next agent sees that their containers have ended."""

from __future__ import annotations

import asyncio
from pathlib import Path

from raysail.node.records import read_record
from raysail.node.sandbox import Supervisor


def end_all_pods(pods: Path) -> int:
    """Kills every process of every Pod below the folder; how many Pods there were. No agent may be running."""
    folders = [folder for folder in pods.iterdir() if read_record(folder) is not None] if pods.is_dir() else []

    async def end() -> None:
        async with asyncio.TaskGroup() as group:
            for folder in folders:
                group.create_task(Supervisor(folder).shutdown())

    asyncio.run(end())
    return len(folders)

"""Starts the warm launcher for Ray when the first Ray Pod comes. See `raysail.node.warm`."""

from __future__ import annotations

import asyncio

from raysail.node.agent import Agent


async def keep_launcher(agent: Agent) -> None:
    """Until cancelled."""
    await asyncio.Event().wait()

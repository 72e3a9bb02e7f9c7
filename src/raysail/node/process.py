"""The node agent's process: connects to the API, presents its Nodes, runs their Pods, serves the kubelet-like API.

It ends without touching Pods; they hang on their supervisors and are adopted by the next agent.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from raysail.kube.connection import unix_socket
from raysail.kube.http import HttpClient
from raysail.kube.manager import Manager
from raysail.node.agent import Agent
from raysail.node.capabilities import find_capabilities
from raysail.node.kubelet import serve
from raysail.node.launcher import keep_launcher
from raysail.node.settings import NodesError, NodeSettings, parse_nodes

logger = logging.getLogger(__name__)

_DEFAULTS: Final = NodeSettings(Path(), Path(), Path())


async def run(settings: NodeSettings) -> None:
    """The agent, until SIGTERM, SIGINT or cancellation."""
    if not settings.nodes:
        settings = replace(settings, nodes=parse_nodes(""))
    settings.pods.mkdir(parents=True, exist_ok=True, mode=0o700)
    settings.run.mkdir(parents=True, exist_ok=True, mode=0o700)
    capabilities = await asyncio.to_thread(find_capabilities)
    for capability in capabilities.report():
        if not capability.present:
            logger.warning("%s: %s. %s", capability.name, capability.detail, capability.lost)
    async with HttpClient(unix_socket(settings.api_socket)) as client:
        manager = Manager(client, component="kubelet")
        agent = Agent(manager, settings, capabilities)
        manager.add_service("nodes", agent.presence.run)
        manager.add_service("pods", agent.run)
        manager.add_service("kubelet API", lambda: serve(agent))
        if settings.warm_ray:
            manager.add_service("warm launcher", lambda: keep_launcher(agent))
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, manager.stop)
        await manager.run()


def main(argv: Sequence[str] | None = None) -> None:
    """`python -m raysail.node`."""
    parser = argparse.ArgumentParser(prog="raysail node", description="Runs Pods of one machine as processes.")
    parser.add_argument("--home", type=Path, required=True, help="state directory")
    parser.add_argument("--run", type=Path, help="short folder for sockets (default: HOME/run)")
    parser.add_argument("--api-socket", type=Path, required=True, help="the API's Unix socket")
    parser.add_argument("--nodes", default="", help="for example '3x cpu=4,memory=16398656Ki'; default: one Node of the machine's size")
    parser.add_argument("--pod-cidr", default=_DEFAULTS.pod_cidr)
    parser.add_argument("--service-cidr", default=_DEFAULTS.service_cidr)
    parser.add_argument("--api-host", default=_DEFAULTS.api_host, help="the API's address for Pods")
    parser.add_argument("--api-port", type=int, default=_DEFAULTS.api_port)
    parser.add_argument("--no-warm-ray", action="store_true", help="let each Ray node import Ray by itself")
    parser.add_argument("--log-level", default="INFO")
    options = parser.parse_args(argv)
    logging.basicConfig(level=options.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        nodes = parse_nodes(options.nodes)
    except NodesError as error:
        parser.error(str(error))
    settings = NodeSettings(
        home=options.home.absolute(),
        run=(options.run or options.home / "run").absolute(),
        api_socket=options.api_socket.absolute(),
        nodes=nodes,
        pod_cidr=options.pod_cidr,
        service_cidr=options.service_cidr,
        api_host=options.api_host,
        api_port=options.api_port,
        warm_ray=not options.no_warm_ray,
    )
    asyncio.run(run(settings))

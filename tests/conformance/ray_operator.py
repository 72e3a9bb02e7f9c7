"""The Ray controllers, garbage collection and namespaces as one process, for the `ray` suite: nothing that binds or runs Pods."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
from pathlib import Path

import uvloop
import yaml

from raysail import ray
from raysail.builtin import garbage, namespaces
from raysail.builtin.settings import BuiltinSettings
from raysail.kube import kubeconfig
from raysail.kube.http import HttpClient
from raysail.kube.manager import Manager
from raysail.ray import RaySettings


def settings(feature_gates: str, config: str) -> RaySettings:
    """As KubeRay's operator would read its flags and environment."""
    chosen = RaySettings(concurrency=8).with_environment(os.environ)
    if config:
        chosen = chosen.with_configuration(yaml.safe_load(Path(config).read_text()))
    gates = chosen.gates.with_text(feature_gates)
    return RaySettings(**{name: getattr(chosen, name) for name in chosen.__dataclass_fields__ if name != "gates"}, gates=gates)


async def run(options: argparse.Namespace) -> None:
    """Until SIGTERM."""
    async with HttpClient(kubeconfig.load(options.kubeconfig)) as client:
        manager = Manager(client)
        ray.register(manager, settings(options.feature_gates, options.config))
        garbage.register(manager, BuiltinSettings())
        namespaces.register(manager, BuiltinSettings())
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, manager.stop)
        await manager.run()


def main() -> None:
    """Starts it on uvloop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kubeconfig", required=True)
    parser.add_argument("--feature-gates", default="")
    parser.add_argument("--config", default="")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()

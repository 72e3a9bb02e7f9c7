"""The controllers process from its settings to its end: client, manager, controllers, health port, leader election, SIGTERM."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from importlib import import_module
from logging.handlers import RotatingFileHandler
from typing import TYPE_CHECKING, Final

from raysail import builtin
from raysail.kube.http import HttpClient
from raysail.kube.leader import LeaderElection
from raysail.kube.manager import Manager
from raysail.operator.settings import QUEUE, RAY, OperatorSettings

if TYPE_CHECKING:
    from raysail.operator.health import HealthServer
    from raysail.operator.webhooks.attachment import Attachment

logger = logging.getLogger(__name__)

LOG_FILE_BYTES: Final = 500 * 1024 * 1024
LOG_FILES: Final = 10


async def run(settings: OperatorSettings, stop: asyncio.Event | None = None) -> None:
    """Works until SIGTERM, SIGINT or `stop`.

    Raises LeadershipLostError when another process has taken over, ConnectionConfigError for certificates that cannot be used, OSError for a port,
    RegistrationError for CRDs and webhooks that the API server refuses.
    """
    settings.connection.ssl_context()  # a certificate that cannot be used is said now, not at each request
    stopping = stop or asyncio.Event()
    if stop is None:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with HttpClient(settings.connection, user_agent="raysail-operator") as client:
        manager = build(settings, client)
        servers = await _serve(settings, manager)
        attachment = await _attach(settings, client, manager, stopping)
        try:
            await _lead(settings, client, manager, stopping)
        finally:
            if attachment is not None:
                await attachment.close()
            for server in servers:
                await server.close()
    logger.info("stopped")


def build(settings: OperatorSettings, client: HttpClient) -> Manager:
    """The manager with all controllers that the settings name, not yet running."""
    manager = Manager(client, namespaces=settings.namespaces)
    if settings.leader is not None:
        manager.role = "leader"  # the others do not get so far
    # Imported when wanted: a process for the queue alone carries no Ray code, and the other way round.
    if RAY in settings.controllers:
        import_module("raysail.ray").register(manager, settings.ray)
    if QUEUE in settings.controllers:
        import_module("raysail.queue.controllers").register(manager, settings.queue)
    builtin.register(manager, settings.builtin, settings.controllers - {RAY, QUEUE})
    logger.info("controllers: %s; API: %s", ", ".join(sorted(settings.controllers)), settings.connection.server)
    return manager


async def _lead(settings: OperatorSettings, client: HttpClient, manager: Manager, stopping: asyncio.Event) -> None:
    async def work() -> None:
        running = asyncio.create_task(manager.run(), name="manager")
        waiting = asyncio.create_task(stopping.wait())
        ready = asyncio.create_task(_announce(manager))
        try:
            await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
            manager.stop()
            await running
        finally:
            for task in (running, waiting, ready):
                task.cancel()
            await asyncio.gather(running, waiting, ready, return_exceptions=True)

    if settings.leader is None:
        await work()
        return
    election = LeaderElection(
        client,
        settings.leader.namespace,
        settings.leader.name,
        lease_seconds=settings.leader.lease_seconds,
        renew_deadline_seconds=settings.leader.renew_deadline_seconds,
        retry_seconds=settings.leader.retry_seconds,
    )
    contest = asyncio.create_task(election.run(work), name="leader election")
    waiting = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait((contest, waiting), return_when=asyncio.FIRST_COMPLETED)
        if contest.done() or election.leading:
            await contest  # a leader that is told to stop ends `work` by itself and gives the lease back
    finally:
        for task in (contest, waiting):
            task.cancel()
        await asyncio.gather(contest, waiting, return_exceptions=True)


async def _announce(manager: Manager) -> None:
    while True:
        try:
            async with asyncio.timeout(10):
                await manager.wait_ready()
        except TimeoutError:
            logger.info("waiting for the API to list %s", ", ".join(manager.missing()) or "its objects")
            continue
        logger.info("ready")
        return


async def _attach(settings: OperatorSettings, client: HttpClient, manager: Manager, stopping: asyncio.Event) -> Attachment | None:
    """CRDs, webhooks and API groups of ours, before anything is reconciled. Nothing where none is asked for."""
    if settings.webhooks is None and not settings.install and settings.extension_socket is None:
        return None
    from raysail.operator.webhooks.attachment import Attachment

    attachment = Attachment(settings, client, manager.extension_apis, lambda: manager.ready)
    opening = asyncio.create_task(attachment.open(), name="webhooks")
    waiting = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait((opening, waiting), return_when=asyncio.FIRST_COMPLETED)
        if opening.done():
            opening.result()
        return attachment
    except BaseException:
        await attachment.close()
        raise
    finally:
        for task in (opening, waiting):
            task.cancel()
        await asyncio.gather(opening, waiting, return_exceptions=True)


async def _serve(settings: OperatorSettings, manager: Manager) -> list[HealthServer]:
    if not settings.health_address and not settings.metrics_address:
        return []
    from raysail.operator.health import serve_health

    return [await serve_health(address, manager) for address in sorted({settings.health_address, settings.metrics_address} - {""})]


def set_up_logging(settings: OperatorSettings) -> None:
    """One line an event on stderr, and in the log file where one is asked for."""
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr)]
    if settings.log_file is not None:
        handlers.append(RotatingFileHandler(settings.log_file, maxBytes=LOG_FILE_BYTES, backupCount=LOG_FILES))
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)-7s %(name)s: %(message)s", handlers=handlers, force=True)


def main(settings: OperatorSettings) -> None:
    """Runs the process on uvloop until it is told to stop."""
    import uvloop

    set_up_logging(settings)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(settings))

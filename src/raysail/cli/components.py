"""From an instance's state directory to the settings of each process. The only place that knows all three."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from raysail.api.selectors import SelectorError
from raysail.instance.addresses import API_PORT, Addresses, claim
from raysail.instance.home import Home, InstanceError, Settings, current

if TYPE_CHECKING:
    from raysail.api.kueue.admission.settings import AdmissionSettings


def run_apiserver(home: Home) -> None:
    """The API of the instance, until SIGTERM."""
    from raysail.apiserver.access.kubeconfig import write_kubeconfig
    from raysail.apiserver.listener import SocketInUseError
    from raysail.apiserver.process import main
    from raysail.apiserver.settings import ApiSettings

    settings = _prepared(home)
    addresses = Addresses(settings.slot)
    token = _admin_token(home)
    write_kubeconfig(home.kubeconfig, addresses.server, home.pki / "ca.crt", token)
    try:
        main(
            ApiSettings(
                data=home.database.parent,
                socket=home.api_socket,
                host=addresses.api,
                port=API_PORT,
                pki=home.pki,
                admin_tokens=(token,),
                service_cidr=addresses.services,
                queue_admission=queue_admission(settings),
            )
        )
    except SocketInUseError as error:
        raise InstanceError(
            f"{error}: another program has taken the address of this instance; `raysail down` and `raysail up` choose a free one"
        ) from error


def queue_admission(settings: Settings) -> AdmissionSettings:
    """What the API holds back at a job's creation must be what the controllers then queue: the same file says both. Raises InstanceError."""
    from raysail.api.kueue.admission.settings import SERVED_FRAMEWORKS, AdmissionSettings

    if not settings.queue_config:
        return AdmissionSettings()
    from raysail.operator.documents import read_document
    from raysail.operator.settings import SettingsError

    try:
        found = AdmissionSettings.from_configuration(read_document(Path(settings.queue_config)))
    except (SettingsError, SelectorError) as error:
        raise InstanceError(f"--queue-config: {error}") from error
    # What is held back at its creation and then served by nobody would wait for ever.
    if unserved := sorted(found.frameworks - SERVED_FRAMEWORKS):
        raise InstanceError(
            f"{settings.queue_config}: integrations.frameworks names {', '.join(unserved)}, which this raysail does not queue yet; "
            f"it queues {', '.join(sorted(SERVED_FRAMEWORKS))}"
        )
    return found


def _prepared(home: Home) -> Settings:
    home.prepare()
    settings = home.read_settings()
    if not settings.slot:
        settings = _with_slot(home, settings)
    return settings


def _with_slot(home: Home, settings: Settings) -> Settings:
    from dataclasses import replace

    settings = replace(settings, slot=claim(home).slot)
    home.write_settings(settings)
    return settings


def _admin_token(home: Home) -> str:
    try:
        return home.admin_token.read_text().strip()
    except FileNotFoundError:
        token = secrets.token_urlsafe(32)
        with os.fdopen(os.open(home.admin_token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(token + "\n")
        return token


def run_operator(arguments: list[str]) -> int:
    """The controllers with these flags; alone, or with `--home DIR` only, those of the instance. The exit status."""
    from raysail.operator.__main__ import command

    if not arguments or arguments[0] == "--home":
        home = Home(Path(arguments[1]).absolute()) if len(arguments) > 1 else current()
        return command([*instance_arguments(home), *arguments[2:]])
    return command(arguments)


def instance_arguments(home: Home) -> list[str]:
    """The flags of an instance's controllers: everything runs, and what only makes sense on one machine is on."""
    settings = home.read_settings()
    flags = [
        f"--socket={home.api_socket}",
        f"--extension-socket={home.run / 'controllers.sock'}",
        "--controllers=*",
        f"--ray-token={'true' if settings.ray_token_authentication else 'false'}",
        "--submit-early",
        "--resolve-services",
        f"--root-ca-file={home.pki / 'ca.crt'}",
        f"--volumes-folder={home.volumes}",
    ]
    flags += [f"--queue-config={settings.queue_config}"] if settings.queue_config else []
    return flags + ([f"--config={settings.operator_config}"] if settings.operator_config else [])


def run_node(home: Home) -> None:
    """The node agent of the instance, until SIGTERM. Pods go on without it."""
    import asyncio
    import logging

    from raysail.node.process import run
    from raysail.node.settings import NodeSettings, parse_nodes

    settings = _prepared(home)
    addresses = Addresses(settings.slot)
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)-7s %(name)s: %(message)s")
    asyncio.run(
        run(
            NodeSettings(
                home=home.path,
                run=home.run,
                api_socket=home.api_socket,
                nodes=parse_nodes(settings.nodes),
                pod_cidr=addresses.pods,
                service_cidr=addresses.services,
                api_host=addresses.api,
                api_port=API_PORT,
            )
        )
    )

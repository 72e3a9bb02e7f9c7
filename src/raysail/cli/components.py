"""From an instance's state directory to the settings of each process. The only place that knows all three."""

from __future__ import annotations

import os
import secrets

from raysail.instance.addresses import API_PORT, Addresses, claim
from raysail.instance.home import Home, InstanceError, Settings


def run_apiserver(home: Home) -> None:
    """The API of the instance, until SIGTERM."""
    from raysail.apiserver.access.kubeconfig import write_kubeconfig
    from raysail.apiserver.listener import SocketInUse
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
            )
        )
    except SocketInUse as error:
        raise InstanceError(f"{error}: another program has taken the address of this instance; `raysail down` and `raysail up` choose a free one") from error


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



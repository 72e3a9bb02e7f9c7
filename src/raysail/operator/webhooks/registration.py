"""Making the API server ask us: CRDs where they are wanted, their conversion, webhook configurations. Done again at each start, and harmless to repeat."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from raysail.api.crds import crd
from raysail.api.errors import StatusError, is_already_exists, is_conflict, is_not_found
from raysail.api.resources import CUSTOM_RESOURCE_DEFINITIONS, Resource
from raysail.kube.backoff import Backoff
from raysail.kube.client import Client
from raysail.operator.settings import RegistrationError
from raysail.operator.webhooks.configurations import CONVERTED, Endpoint, conversion

logger = logging.getLogger(__name__)

FIELD_MANAGER: Final = "raysail-operator"
MUTATING: Final = Resource(
    "admissionregistration.k8s.io", "v1", "MutatingWebhookConfiguration", "mutatingwebhookconfigurations", namespaced=False
)
VALIDATING: Final = Resource(
    "admissionregistration.k8s.io", "v1", "ValidatingWebhookConfiguration", "validatingwebhookconfigurations", namespaced=False
)
_ESTABLISHED_SECONDS: Final = 60.0
_TRIES: Final = 5


async def persistently(what: str, work: Callable[[], Awaitable[None]], sleep: Callable[[float], Awaitable[None]]) -> None:
    """Does the work however long the API server is away. Raises RegistrationError where it refuses."""
    backoff = Backoff()
    while True:
        try:
            await work()
            return
        except ConnectionError as error:
            logger.warning("cannot %s yet, the API server is away: %s", what, error)
        except StatusError as error:
            if error.code < 500 and error.code != 429:
                raise RegistrationError(f"cannot {what}: {error.message}") from error
            logger.warning("cannot %s yet: %s", what, error.message)
        await sleep(backoff.next())


async def install_crds(client: Client, names: Sequence[str], endpoint: Endpoint | None) -> None:
    """Creates these CRDs, or brings them up to date; returns when all are served. Raises StatusError, ConnectionError, RegistrationError."""
    for name in names:
        body = dict(crd(name))
        if endpoint is not None and name in CONVERTED:
            body["spec"] = {**body["spec"], "conversion": conversion(endpoint)}
        await put(client, CUSTOM_RESOURCE_DEFINITIONS, body)
    try:
        async with asyncio.timeout(_ESTABLISHED_SECONDS):
            for name in names:
                while not _established(await client.get(CUSTOM_RESOURCE_DEFINITIONS, name)):  # noqa: ASYNC110 - its change is in the API, not here
                    await asyncio.sleep(0.1)
    except TimeoutError as error:
        raise RegistrationError(
            f"the API server does not serve {name} after {_ESTABLISHED_SECONDS:g} s; see its status.conditions"
        ) from error
    logger.info("installed %d CustomResourceDefinitions", len(names))


def _established(found: Mapping[str, Any]) -> bool:
    stated = (found.get("status") or {}).get("conditions") or ()
    return any(each.get("type") == "Established" and each.get("status") == "True" for each in stated)


async def wire_conversion(client: Client, endpoint: Endpoint) -> None:
    """The CRDs of the queue that are there ask us for their other versions. Raises StatusError, ConnectionError."""
    for name in sorted(CONVERTED):
        try:
            present = await client.get(CUSTOM_RESOURCE_DEFINITIONS, name)
        except Exception as error:
            if is_not_found(error):
                logger.warning("CustomResourceDefinition %s is not there; `raysail operator --install` brings it", name)
                continue
            raise
        if len(present["spec"]["versions"]) > 1 and present["spec"].get("conversion") != conversion(endpoint):
            await client.patch(
                CUSTOM_RESOURCE_DEFINITIONS, name, {"spec": {"conversion": conversion(endpoint)}}, field_manager=FIELD_MANAGER
            )


async def put(client: Client, resource: Resource, body: Mapping[str, Any], namespace: str | None = None) -> None:
    """Creates the object or replaces what of it is ours (everything but other people's metadata and its status). Raises StatusError, ConnectionError."""
    wanted = dict(body)
    for _ in range(_TRIES):
        try:
            await client.create(resource, wanted, namespace, field_manager=FIELD_MANAGER)
            return
        except Exception as error:
            if not is_already_exists(error):
                raise
        try:
            present = await client.get(resource, body["metadata"]["name"], namespace)
            metadata = {**present["metadata"], "labels": {**present["metadata"].get("labels", {}), **body["metadata"].get("labels", {})}}
            metadata.pop("managedFields", None)
            whole = {**present, **body, "metadata": metadata}
            if {**whole, "metadata": None} != {**present, "metadata": None}:
                await client.update(resource, whole, namespace, field_manager=FIELD_MANAGER)
            return
        except Exception as error:
            if not (is_conflict(error) or is_not_found(error)):  # somebody else wrote or deleted meanwhile: once more
                raise
    raise RegistrationError(f"{resource.kind} {body['metadata']['name']} is written by somebody else all the time")

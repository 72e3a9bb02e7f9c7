"""Whether and how webhooks are served: from flags, from Kueue's Configuration file, and from where the process runs."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from raysail.api.kueue import configuration
from raysail.api.kueue.admission import AdmissionSettings
from raysail.api.selectors import SelectorError
from raysail.operator.settings import ServiceReference, SettingsError, WebhookSettings

_IN_CLUSTER: Final = "KUBERNETES_SERVICE_HOST"
_KUBERAY_WEBHOOKS: Final = "ENABLE_WEBHOOKS"


def webhook_settings(
    given: argparse.Namespace, queue_document: Mapping[str, Any], address: str, environment: Mapping[str, str]
) -> WebhookSettings | None:
    """None where nothing asks for webhooks. `address` is --webhook-address, checked. Raises SettingsError.

    In a Pod, with Kueue's Configuration file, they are served where that file says (webhook.port, internalCertManagement): Kueue's manifests go on working.
    """
    try:
        admission = AdmissionSettings.from_configuration({**queue_document, "featureGates": _gates(queue_document)})
    except SelectorError as error:
        raise SettingsError(f"{given.queue_config}: managedJobsNamespaceSelector: {error}") from error
    ray = environment.get(_KUBERAY_WEBHOOKS, "").lower() == "true"
    if not address:
        if queue_document and environment.get(_IN_CLUSTER):
            return _as_kueue(queue_document, admission, ray)
        for flag in ("webhook_url", "webhook_service", "webhook_cert_dir"):
            if getattr(given, flag):
                raise SettingsError(
                    f"--{flag.replace('_', '-')} says how webhooks are reached; say with --webhook-address where they listen"
                )
        return None
    host, _, port = address.rpartition(":")
    service = _service(given.webhook_service) if given.webhook_service else None
    if given.webhook_url and service:
        raise SettingsError("--webhook-url and --webhook-service are both given; keep one")
    if given.webhook_url and urlsplit(given.webhook_url).scheme != "https":
        raise SettingsError(f"--webhook-url={given.webhook_url}: an API server asks webhooks over https:// only")
    settings = WebhookSettings(host.strip("[]"), int(port), admission=admission, ray=ray)
    return replace(
        settings,
        url=given.webhook_url.rstrip("/"),
        service=service,
        certificate_folder=given.webhook_cert_dir,
        certificate_secret=(service.namespace, "raysail-webhook-server-cert") if service and not given.webhook_cert_dir else None,
    )


def _gates(document: Mapping[str, Any]) -> Mapping[str, Any]:
    gates = document.get("featureGates") or {}
    return gates if isinstance(gates, Mapping) else {}


def _as_kueue(document: Mapping[str, Any], admission: AdmissionSettings, ray: bool) -> WebhookSettings:
    complete = configuration.with_defaults(configuration.to_v1beta2(document))
    webhook, certificates, namespace = complete["webhook"], complete["internalCertManagement"], complete["namespace"]
    settings = WebhookSettings(webhook.get("host", ""), int(webhook["port"]), admission=admission, ray=ray)
    service = ServiceReference(namespace, certificates.get("webhookServiceName") or "kueue-webhook-service")
    if not certificates["enable"]:
        return replace(settings, service=service, certificate_folder=Path(webhook["certDir"]))
    return replace(settings, service=service, certificate_secret=(namespace, certificates["webhookSecretName"]))


def _service(text: str) -> ServiceReference:
    namespace, slash, rest = text.partition("/")
    name, colon, port = rest.partition(":")
    if not slash or not namespace or not name or (colon and not port.isdigit()):
        raise SettingsError(f"--webhook-service={text}: expected NAMESPACE/NAME or NAMESPACE/NAME:PORT")
    return ServiceReference(namespace, name, int(port) if port else 443)

"""The client over TLS, as a kubeconfig describes it."""

from __future__ import annotations

import base64
import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from raysail.api.errors import StatusError
from raysail.api.resources import CONFIG_MAPS, NAMESPACES, Resource
from raysail.kube import kubeconfig
from raysail.kube.connection import Connection
from raysail.kube.credentials import bearer
from raysail.kube.http import HttpClient
from tests.support.embedded import EmbeddedApi, embedded_api

WHO_AM_I = Resource("authentication.k8s.io", "v1", "SelfSubjectReview", "selfsubjectreviews", namespaced=False)


def client_certificate(api: EmbeddedApi, name: str) -> tuple[str, str]:
    """A certificate for that user, signed by the API's own authority."""
    authority = x509.load_pem_x509_certificate(api.ca.read_bytes())
    signer = serialization.load_pem_private_key((api.ca.parent / "ca.key").read_bytes(), None)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(signer, hashes.SHA256())  # type: ignore[arg-type]
    )
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return certificate.public_bytes(serialization.Encoding.PEM).decode(), private.decode()


async def test_tokens_authorities_and_certificates() -> None:
    async with embedded_api() as api:
        async with HttpClient(kubeconfig.load(api.kubeconfig())) as client:
            await client.create(CONFIG_MAPS, {"metadata": {"name": "x"}}, "default")
            page = await client.list(CONFIG_MAPS, "default")
            assert len(page.items) == 1
            async for event in client.watch(CONFIG_MAPS, "default", resource_version="0", timeout_seconds=1):
                assert event.type in ("ADDED", "BOOKMARK")
                break
        async with HttpClient(Connection(api.url, ca_pem=api.ca.read_text(), credentials=bearer("wrong"))) as client:
            with pytest.raises(StatusError) as refused:
                await client.list(NAMESPACES)
            assert refused.value.code == 401
        async with HttpClient(Connection(api.url)) as client:
            with pytest.raises(ConnectionError, match=r"(?i)certificate"):
                await client.list(NAMESPACES)
        async with HttpClient(Connection(api.url, insecure=True, credentials=bearer(api.token))) as client:
            assert (await client.list(NAMESPACES)).items
        certificate, key = client_certificate(api, "alice")
        async with HttpClient(
            Connection(api.url, ca_pem=api.ca.read_text(), client_certificate_pem=certificate, client_key_pem=key)
        ) as client:
            review = await client.create(WHO_AM_I, {"apiVersion": WHO_AM_I.api_version, "kind": WHO_AM_I.kind})
            assert review["status"]["userInfo"]["username"] == "alice"


def test_a_certificate_without_its_key() -> None:
    from raysail.kube.connection import ConnectionConfigError

    pem = "-----BEGIN CERTIFICATE-----\n" + base64.b64encode(b"x").decode() + "\n-----END CERTIFICATE-----\n"
    with pytest.raises(ConnectionConfigError, match="do not fit together"):
        Connection("https://c", client_certificate_pem=pem, client_key_pem="nonsense").ssl_context()

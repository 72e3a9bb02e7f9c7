"""The instance's own certificate authority, its server certificate, and client certificates.

Made with `cryptography`. Keys are P-256: small, and quick to make at the first start.
"""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from raysail.apiserver.access.pki import Pki, write_private
from raysail.apiserver.access.users import AUTHENTICATED, User

_LIFETIME = timedelta(days=3650)


def make_missing(pki: Pki, server_names: list[str], renew_before_seconds: float) -> float:
    """Makes what is missing; renews the server certificate when a name is missing or it ends that soon. Gives when it ends, as a Unix time."""
    if not (pki.ca_certificate.exists() and pki.ca_key.exists()):
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _sign(_subject("raysail-ca"), key, _subject("raysail-ca"), key, authority=True)
        _write_key(pki.ca_key, key)
        write_private(pki.ca_certificate, certificate.public_bytes(serialization.Encoding.PEM))
    if not _server_certificate_fits(pki, server_names, renew_before_seconds):
        ca_key, ca_certificate = _load_ca(pki)
        key = ec.generate_private_key(ec.SECP256R1())
        alternatives = x509.SubjectAlternativeName([_general_name(name) for name in server_names])
        certificate = _sign(_subject("raysail-apiserver"), key, ca_certificate.subject, ca_key, alternatives=alternatives)
        _write_key(pki.server_key, key)
        write_private(pki.server_certificate, certificate.public_bytes(serialization.Encoding.PEM))
    if not pki.service_account_key.exists():
        _write_key(pki.service_account_key, ec.generate_private_key(ec.SECP256R1()))
    return x509.load_pem_x509_certificate(pki.server_certificate.read_bytes()).not_valid_after_utc.timestamp()


def client_certificate(pki: Pki, user_name: str, groups: list[str]) -> tuple[bytes, bytes]:
    """(certificate, key) in PEM for a person: the common name is the user, organisations are the groups."""
    ca_key, ca_certificate = _load_ca(pki)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups] + [x509.NameAttribute(NameOID.COMMON_NAME, user_name)]
    )
    certificate = _sign(subject, key, ca_certificate.subject, ca_key, client=True)
    return certificate.public_bytes(serialization.Encoding.PEM), _key_bytes(key)


def throw_away_authority(names: list[str], common_name: str) -> tuple[bytes, bytes, bytes]:
    """(CA certificate, server certificate, server key) in PEM; the CA's own key is not kept, so it signs nothing else. `names`: DNS names and addresses."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = _subject(f"{common_name}-ca")
    authority = _sign(issuer, ca_key, issuer, ca_key, authority=True)
    alternatives = x509.SubjectAlternativeName([_general_name(name) for name in names])
    certificate = _sign(_subject(common_name), key, issuer, ca_key, alternatives=alternatives)
    pem = serialization.Encoding.PEM
    return authority.public_bytes(pem), certificate.public_bytes(pem), _key_bytes(key)


def user_of_certificate(der: bytes) -> User:
    """Who a client certificate (already verified against the CA by TLS) stands for."""
    subject = x509.load_der_x509_certificate(der).subject
    names = [str(a.value) for a in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    groups = [str(a.value) for a in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
    return User(names[0] if names else "", (*groups, AUTHENTICATED))


def _sign(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
    *,
    authority: bool = False,
    client: bool = False,
    alternatives: x509.SubjectAlternativeName | None = None,
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .add_extension(_key_usage(authority), critical=True)
    )
    if not authority:
        usage = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    if alternatives is not None:
        builder = builder.add_extension(alternatives, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _key_usage(authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _server_certificate_fits(pki: Pki, server_names: list[str], renew_before_seconds: float) -> bool:
    if not (pki.server_certificate.exists() and pki.server_key.exists()):
        return False
    certificate = x509.load_pem_x509_certificate(pki.server_certificate.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    signed_by_ours = certificate.issuer == _load_ca(pki)[1].subject
    lasts = certificate.not_valid_after_utc - datetime.now(UTC) > timedelta(seconds=renew_before_seconds)
    return signed_by_ours and lasts and all(_general_name(name) in names for name in server_names)


def _load_ca(pki: Pki) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = serialization.load_pem_private_key(pki.ca_key.read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError(f"{pki.ca_key} is not an elliptic-curve key; remove the pki folder to make a new authority")
    return key, x509.load_pem_x509_certificate(pki.ca_certificate.read_bytes())


def _subject(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    write_private(path, _key_bytes(key))

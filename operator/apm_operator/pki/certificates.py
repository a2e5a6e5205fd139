"""Keys and certificates: P-256, signed with SHA-256, in PEM."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_SKEW_SECONDS = 300.0
"""Clocks of machines differ: a certificate is valid a little before it was made, a short one by a tenth of its life."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Who a certificate is for: one URI, and the DNS names under which it is served."""

    uri: str
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Leaf:
    """What is known of a certificate; times in seconds since 1970.

    Attributes:
        issuer: identifier of the key that signed it, "" where it does not say.
    """

    subject: Subject
    issuer: str
    made: float
    ends: float


@dataclass(frozen=True, slots=True, repr=False)
class Pair:
    """A certificate and its private key, both PEM."""

    certificate: bytes
    key: bytes


def authority(now: float, life: float) -> Pair:
    """A new authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    # Several are trusted at the same time: each has a name of its own.
    name = _name(f"APM operator {identifier.digest.hex()[:8]}")
    usage = _usage(key_cert_sign=True, crl_sign=True)
    builder = (
        _builder(name, name, key.public_key(), now, life)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(identifier, critical=False)
    )
    return _pair(builder, key, key)


def sign(issuer: Pair, subject: Subject, now: float, life: float) -> Pair:
    """A new key, and a certificate for servers and clients that `issuer` signs."""
    issuing = x509.load_pem_x509_certificate(issuer.certificate)
    issuing_key = _load_key(issuer.key)
    key = ec.generate_private_key(ec.SECP256R1())
    names = [x509.UniformResourceIdentifier(subject.uri), *(x509.DNSName(host) for host in subject.hosts)]
    uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    builder = (
        # No name but the alternative ones: a common name has at most 64 characters.
        _builder(x509.Name([]), issuing.subject, key.public_key(), now, life)
        .add_extension(x509.SubjectAlternativeName(names), critical=True)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuing_key.public_key()), critical=False)
    )
    return _pair(builder, key, issuing_key)


def read(certificate: bytes) -> Leaf:
    """What the first certificate in a PEM text says.

    Raises:
        ValueError: there is none, or it can't be read.
    """
    found = x509.load_pem_x509_certificate(certificate)
    uris: list[str] = []
    hosts: list[str] = []
    issuer = b""
    for extension in found.extensions:
        if isinstance(extension.value, x509.SubjectAlternativeName):
            uris = extension.value.get_values_for_type(x509.UniformResourceIdentifier)
            hosts = extension.value.get_values_for_type(x509.DNSName)
        elif isinstance(extension.value, x509.AuthorityKeyIdentifier):
            issuer = extension.value.key_identifier or b""
    return Leaf(
        subject=Subject(uris[0] if len(uris) == 1 else "", tuple(hosts)),
        issuer=issuer.hex(),
        made=found.not_valid_before_utc.timestamp(),
        ends=found.not_valid_after_utc.timestamp(),
    )


def key_id(authority_certificate: bytes) -> str:
    """The identifier of an authority's key, as `Leaf.issuer` has it.

    Raises:
        ValueError: it is no certificate that can be read.
    """
    public = x509.load_pem_x509_certificate(authority_certificate).public_key()
    return x509.SubjectKeyIdentifier.from_public_key(public).digest.hex()


def belong_together(pair: Pair) -> bool:
    """Whether the key is that of the certificate.

    Raises:
        ValueError: one of them can't be read.
    """
    certificate = x509.load_pem_x509_certificate(pair.certificate)
    return serialization.load_pem_private_key(pair.key, None).public_key() == certificate.public_key()


def bundle(certificates: Iterable[bytes]) -> str:
    """Certificates as one PEM text, each once, in an order that does not depend on theirs."""
    return "".join(each.decode() for each in sorted(set(certificates)))


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: float, life: float
) -> x509.CertificateBuilder:
    before = now - min(_SKEW_SECONDS, life / 10)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(dt.datetime.fromtimestamp(before, dt.UTC))
        .not_valid_after(dt.datetime.fromtimestamp(now + life, dt.UTC))
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _usage(*, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _load_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(pem, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("The authority's key is not of an elliptic curve")  # noqa: TRY004  as for any other unreadable key
    return key


def _pair(
    builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey
) -> Pair:
    certificate = builder.sign(signer, hashes.SHA256())
    return Pair(
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )

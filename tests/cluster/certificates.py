"""A certificate authority of one's own and the certificates of a control plane."""

import datetime as dt
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_LIFE = dt.timedelta(days=365)


@dataclass(frozen=True)
class Pair:
    """Files of a certificate and its private key."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Authority:
    """A certificate authority that keeps its files, and those of what it signs, in `directory`."""

    directory: Path
    name: str

    @property
    def pair(self) -> Pair:
        """The authority's own files."""
        return _pair(self.directory, self.name)

    def create(self) -> None:
        """Make the authority's key and its self-signed certificate, unless they are there."""
        if self.pair.certificate.exists():
            return
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(self.name, "")
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        builder = (
            _builder(name, name, key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        _write(self.pair, key, builder.sign(key, hashes.SHA256()))

    def client(self, file: str, user: str, group: str = "") -> Pair:
        """A client certificate for a Kubernetes user (common name) and group (organisation)."""
        return self._issue(file, _name(user, group), ExtendedKeyUsageOID.CLIENT_AUTH, ())

    def server(self, file: str, hosts: Sequence[str]) -> Pair:
        """A server certificate for host names and IP addresses."""
        return self._issue(file, _name(hosts[0], ""), ExtendedKeyUsageOID.SERVER_AUTH, hosts)

    def _issue(self, file: str, subject: x509.Name, use: x509.ObjectIdentifier, hosts: Sequence[str]) -> Pair:
        pair = _pair(self.directory, file)
        if pair.certificate.exists():
            return pair
        issuer = x509.load_pem_x509_certificate(self.pair.certificate.read_bytes())
        issuer_key = serialization.load_pem_private_key(self.pair.key.read_bytes(), None)
        if not isinstance(issuer_key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{self.pair.key} holds no elliptic curve key")
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            _builder(subject, issuer.subject, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        )
        if hosts:
            names = x509.SubjectAlternativeName([_host(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        _write(pair, key, builder.sign(issuer_key, hashes.SHA256()))
        return pair


def signing_key(directory: Path, file: str) -> Pair:
    """A key pair to sign service account tokens with; the "certificate" is the bare public key."""
    pair = _pair(directory, file)
    if not pair.certificate.exists():
        key = ec.generate_private_key(ec.SECP256R1())
        _write_key(pair.key, key)
        pair.certificate.write_bytes(
            key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
    return pair


def _pair(directory: Path, file: str) -> Pair:
    return Pair(directory / f"{file}.crt", directory / f"{file}.key")


def _name(common: str, organisation: str) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common)]
    if organisation:
        attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation))
    return x509.Name(attributes)


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))
        .not_valid_after(now + _LIFE)
    )


def _write(pair: Pair, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
    """Write the key, then the certificate: a pair counts as there when its certificate is."""
    _write_key(pair.key, key)
    pair.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )

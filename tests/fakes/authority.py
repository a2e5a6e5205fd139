"""A certificate authority, and folders of certificates as pods have them mounted."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agent_runtime.spec.identity import agent_uri

LIFE = dt.timedelta(hours=1)
LOOPBACK = "127.0.0.1"


class Authority:
    """Signs certificates."""

    def __init__(self, name: str = "authority") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        builder = _builder(self._name, self._name, self._key, LIFE).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self.pem = _pem(builder.sign(self._key, hashes.SHA256()))

    def issue(self, uris: tuple[str, ...] = (), life: dt.timedelta = LIFE, host: str = LOOPBACK) -> tuple[str, str]:
        """A certificate for a host and what `uris` name, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [_host(host), *(x509.UniformResourceIdentifier(uri) for uri in uris)]
        builder = (
            _builder(_name("leaf"), self._name, key, life)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
        )
        plain = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return _pem(builder.sign(self._key, hashes.SHA256())), plain.decode()


@dataclass(frozen=True)
class Mounts:
    """The folders of one pod, renewed as the kubelet does it: a link is turned to a new folder."""

    root: Path

    @property
    def tls(self) -> Path:
        """Certificate and key."""
        return self.root / "tls"

    @property
    def trust(self) -> Path:
        """Authorities and callers."""
        return self.root / "trust"

    def certify(self, authority: Authority, uri: str, life: dt.timedelta = LIFE) -> None:
        """Mounts a new certificate."""
        certificate, key = authority.issue((uri,), life)
        swap(self.tls, {"tls.crt": certificate, "tls.key": key, "ca.crt": authority.pem})

    def allow(self, *authorities: Authority, callers: tuple[str, ...] = ()) -> None:
        """Mounts a new bundle, and the agents that may call."""
        bundle = "".join(authority.pem for authority in authorities)
        swap(self.trust, {"ca.crt": bundle, "callers.json": json.dumps({"agents": sorted(callers)})})


def pod(root: Path, authority: Authority, name: str, callers: tuple[str, ...] = ()) -> Mounts:
    """What the pods of agent `tests/name` have mounted."""
    root.mkdir()
    mounts = Mounts(root)
    mounts.certify(authority, agent_uri("tests", name))
    mounts.allow(authority, callers=callers)
    return mounts


def client_context(authority: Authority, folder: Path, *uris: str, by: Authority | None = None) -> ssl.SSLContext:
    """For a client that trusts `authority`, with a certificate (of `by`) that names the URIs if there are any."""
    context = ssl.create_default_context(cadata=authority.pem)
    if uris:
        certificate, key = (by or authority).issue(uris)
        file = folder / f"{uuid4()}.pem"
        file.write_text(certificate + key)
        context.load_cert_chain(file)
    return context


def swap(folder: Path, files: dict[str, str]) -> None:
    """Replaces a folder's files all at once."""
    made = folder.parent / f".{folder.name}-{uuid4()}"
    made.mkdir()
    for name, text in files.items():
        (made / name).write_text(text)
    link = folder.parent / f".{folder.name}-link"
    link.symlink_to(made.name)
    os.replace(link, folder)  # noqa: PTH105 - Path.replace says the same


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, life: dt.timedelta
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=1))
        .not_valid_after(now + life)
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()

"""The mounted certificate, key and authorities, and TLS contexts made of them."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from agent_runtime.errors import ConfigError

log = structlog.get_logger()

Stamp = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True)
class Material:
    """Where the agent's certificate, its key and the authorities it trusts are mounted."""

    certificate: Path
    key: Path
    authorities: tuple[Path, ...]

    @classmethod
    def mounted(cls, tls: Path, trust: Path) -> Material:
        """In the folders that the operator mounts; the issuer's own authority counts beside the bundle."""
        return cls(tls / "tls.crt", tls / "tls.key", (trust / "ca.crt", tls / "ca.crt"))

    def stamp(self) -> Stamp:
        """Differs once any of the files does."""
        return tuple(file_stamp(file) for file in (self.certificate, self.key, *self.authorities))

    def bundle(self) -> str:
        """The certificates of all authorities; a file that is not there adds none."""
        return "\n".join(file.read_text(encoding="ascii") for file in self.authorities if file.exists())


class Renewal:
    """A TLS context of the files as they are now.

    It is made anew, not changed, when the files change: an authority can't be taken out of a context, and
    connections keep the one that they began with.
    """

    def __init__(self, material: Material, make: Callable[[Material], ssl.SSLContext]) -> None:
        """Raises ConfigError if no context can be made of the files."""
        self._material = material
        self._make = make
        self._lock = threading.Lock()
        self._seen = material.stamp()
        try:
            self._context = make(material)
        except (OSError, ValueError) as error:
            raise ConfigError(f"the mounted certificates can't be used: {_reason(error)}") from error

    def current(self) -> ssl.SSLContext:
        """The newest context; while the files don't fit together, the one before. Callable from any thread."""
        stamp = self._material.stamp()
        if stamp == self._seen:
            return self._context
        with self._lock:
            if stamp != self._seen:
                # Taken before the files are read: if they change meanwhile, the next call sees that.
                self._seen = stamp
                self._renew()
            return self._context

    def _renew(self) -> None:
        try:
            self._context = self._make(self._material)
        except (OSError, ValueError) as error:
            log.warning("the new certificates can't be used, going on with the old ones", reason=_reason(error))
        else:
            log.info("took up new certificates")


def server_context(material: Material) -> ssl.SSLContext:
    """For the agent's port: a client may show a certificate, and one that it shows must be of a trusted authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_OPTIONAL
    # A resumed session would keep the client's identity beyond the life of its certificate.
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET
    return _loaded(context, material)


def client_context(material: Material) -> ssl.SSLContext:
    """For calls to other agents, with the agent's own certificate."""
    return _loaded(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), material)


def _loaded(context: ssl.SSLContext, material: Material) -> ssl.SSLContext:
    for file in (material.certificate, material.key):
        file.stat()  # names the file that is missing, as `load_cert_chain` does not
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    # The bundle may hold an authority that another one signed.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(cadata=material.bundle())
    context.load_cert_chain(material.certificate, material.key)
    return context


def file_stamp(file: Path) -> tuple[int, int, int] | None:
    """Differs once the file does; None while there is none."""
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_size


def _reason(error: Exception) -> str:
    """Without what the files hold, which may be a key."""
    if isinstance(error, ssl.SSLError):
        return (error.reason or type(error).__name__).replace("_", " ").lower()
    return f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else "no certificates"

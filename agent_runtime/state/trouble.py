"""What is said of a MongoDB that can't be used: no address and no credentials."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pymongo.errors import PyMongoError

from agent_runtime.errors import UnavailableError

_OF_TLS = {
    "Hostname mismatch": "its certificate is of another host",
    "IP address mismatch": "its certificate is of another host",
    "certificate has expired": "its certificate has expired",
    "CERTIFICATE_VERIFY_FAILED": "its certificate is of no authority that is trusted: correct `state.mongodb.tls`",
    "WRONG_VERSION_NUMBER": "it does not speak TLS there",
    "CERTIFICATE_REQUIRED": "it asks for the agent's certificate: set `state.mongodb.tls.clientCertificateSecretRef`",
    "SSL handshake failed": "it ended the TLS handshake: does it ask for a certificate of the agent?",
}
"""By what the driver's message holds; the first one counts."""


@contextmanager
def readable() -> Iterator[None]:
    """Turns what the driver says of a connection string, at times a bare ValueError or OSError, into our own error."""
    try:
        yield
    except (PyMongoError, ValueError, TypeError, OSError) as error:
        raise UnavailableError(
            f"the connection string or certificates of MongoDB can't be used ({type(error).__name__}): "
            "correct them in their Secret"
        ) from error


def reason(error: PyMongoError) -> str:
    """The kind of a driver's error, and its cause where that is TLS."""
    code = getattr(error, "code", None)
    name = (getattr(error, "details", None) or {}).get("codeName")
    text = str(error)
    cause = next((told for sign, told in _OF_TLS.items() if sign in text), None)
    return type(error).__name__ + (f" ({found})" if (found := cause or name or code) else "")

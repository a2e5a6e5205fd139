"""Headers of requests that a spec describes."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from agent_runtime.spec.base import SpecModel
from agent_runtime.spec.secret import SecretKeyRef

HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][-A-Za-z0-9_]*$", max_length=64)]
HeaderValue = Annotated[str, StringConstraints(pattern=r"^[ -~]*$", max_length=2048)]

TAKEN_HEADERS = {
    "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "expect", "host",
    "idempotency-key", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade",
}  # fmt: skip
"""Headers that belong to the connection, or that the runtime sets."""
SECRET_HEADERS = {"authorization", "cookie", "proxy-authorization"}


class SecretHeader(SpecModel):
    """A header whose value is in a Secret."""

    name: HeaderName = Field(description="Name of the header, such as `X-Api-Key`.")
    secret_key_ref: SecretKeyRef = Field(description="Secret key that holds the value; read at each request.")

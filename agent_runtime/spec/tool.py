from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from agent_runtime.spec.base import SpecModel
from agent_runtime.spec.scalars import Duration, NodeName
from agent_runtime.spec.secret import SecretKeyRef

HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][-A-Za-z0-9_]*$", max_length=64)]
HeaderValue = Annotated[str, StringConstraints(pattern=r"^[ -~]*$", max_length=2048)]

TAKEN_HEADERS = {
    "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "expect", "host",
    "idempotency-key", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade",
}  # fmt: skip
"""Headers that belong to the connection, or that the runtime sets."""
SECRET_HEADERS = {"authorization", "cookie", "proxy-authorization"}


class HTTPTool(SpecModel):
    """An HTTP request that a tool makes."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = Field(default="POST", description="HTTP method.")
    url: str = Field(
        pattern=r"^https?://[^/?#@{}\s]+([/?][^#\s]*)?$",
        max_length=2048,
        description="Address; the path and query may hold `{argument}`, the scheme and host may not.",
    )
    headers: dict[HeaderName, HeaderValue] = Field(
        default_factory=dict,
        max_length=32,
        description="Headers sent with every request; no secrets here, and none that belong to the connection.",
    )
    bearer_token_secret_ref: SecretKeyRef | None = Field(
        default=None, description="Secret key whose value is sent as `Authorization: Bearer`."
    )
    api_key_secret_ref: SecretKeyRef | None = Field(
        default=None, description="Secret key whose value is sent in the header that `apiKeyHeader` names."
    )
    api_key_header: HeaderName = Field(default="X-Api-Key", description="Header that carries the API key.")
    timeout: Duration = Field(default="30s", description="Time limit of one request.")
    max_attempts: int = Field(
        default=3,
        ge=1,
        le=10,
        description="Attempts when the service is unreachable, busy or failing (429, 502, 503, 504).",
    )

    @property
    def arguments_in_url(self) -> tuple[str, ...]:
        """The arguments that the URL's path and query take."""
        return tuple(re.findall(r"\{(\w+)\}", self.url))


class ToolSpec(SpecModel):
    """Something a workflow can do in the world: called by a `tool` node, or by a model that was given it."""

    name: NodeName = Field(description="Name by which nodes and models refer to the tool.")
    description: str = Field(default="", max_length=1024, description="What the tool does, as told to the model.")
    parameters: dict[str, Any] = Field(
        default_factory=lambda: {"type": "object"}, description="JSON Schema of the arguments."
    )
    http: HTTPTool = Field(
        description=(
            "The request that the tool makes; arguments not used in the URL are its JSON body, or the query of GET "
            "and DELETE."
        )
    )

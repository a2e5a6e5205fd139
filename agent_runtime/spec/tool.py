from __future__ import annotations

import re
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field

from agent_runtime.spec.backoff import BackoffSpec
from agent_runtime.spec.base import SpecModel
from agent_runtime.spec.breaker import BreakerSpec
from agent_runtime.spec.headers import HeaderName, HeaderValue
from agent_runtime.spec.integrations import IntegrationTool
from agent_runtime.spec.mcp import MCPTool
from agent_runtime.spec.scalars import Duration, NodeName
from agent_runtime.spec.secret import SecretKeyRef

ANY_ARGUMENTS = {"type": "object"}


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
    backoff: BackoffSpec = Field(default_factory=BackoffSpec, description="Pauses between these attempts.")
    breaker: BreakerSpec | None = Field(
        default=None,
        description="When the tool's host is left alone because it fails again and again; tools of one host share it.",
    )

    @property
    def host(self) -> str:
        """Host and port that the requests go to."""
        return urlsplit(self.url).netloc.lower()

    @property
    def arguments_in_url(self) -> tuple[str, ...]:
        """The arguments that the URL's path and query take."""
        return tuple(re.findall(r"\{(\w+)\}", self.url))


class ToolSpec(SpecModel):
    """Something a workflow can do in the world: called by a `tool` node, or by a model that was given it."""

    name: NodeName = Field(description="Name by which nodes and models refer to the tool.")
    description: str = Field(default="", max_length=1024, description="What the tool does, as told to the model.")
    parameters: dict[str, Any] = Field(
        default_factory=lambda: dict(ANY_ARGUMENTS), description="JSON Schema of the arguments."
    )
    http: HTTPTool | None = Field(
        default=None,
        description=(
            "The request that the tool makes; arguments not used in the URL are its JSON body, or the query of GET "
            "and DELETE. One of this, `integration` and `mcp` is set."
        ),
    )
    integration: IntegrationTool | None = Field(
        default=None,
        description=(
            "The operation of `spec.integrations` that the tool does, which says what its arguments are. One of this, "
            "`http` and `mcp` is set."
        ),
    )
    mcp: MCPTool | None = Field(
        default=None,
        description=(
            "The tool of an MCP server that it stands for; the server says what its arguments are, and `parameters`, "
            "if set, may leave some out. One of this, `http` and `integration` is set."
        ),
    )

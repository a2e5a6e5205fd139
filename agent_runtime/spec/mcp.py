"""MCP servers, whose tools a workflow can use."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from agent_runtime.spec.backoff import BackoffSpec
from agent_runtime.spec.base import SpecModel
from agent_runtime.spec.breaker import BreakerSpec
from agent_runtime.spec.headers import HeaderName, HeaderValue, SecretHeader
from agent_runtime.spec.scalars import Duration, NodeName
from agent_runtime.spec.secret import SecretKeyRef

MCPToolName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_./-]+$", min_length=1, max_length=128)]
"""https://modelcontextprotocol.io/specification/2025-11-25/server/tools#tool-names"""


class MCPTLSSpec(SpecModel):
    """TLS between the agent and an MCP server."""

    ca_secret_ref: SecretKeyRef = Field(
        description="Secret key with the certificates, as PEM, of the authorities that the server's may be of."
    )


class MCPServerSpec(SpecModel):
    """An MCP server that is reached by streamable HTTP."""

    name: NodeName = Field(description="Name by which tools refer to the server.")
    url: str = Field(
        pattern=r"^https?://[^/?#@\s]+([/?][^#\s]*)?$",
        max_length=2048,
        description="Address of its MCP endpoint, such as `http://tickets.shop.svc:8000/mcp`.",
    )
    headers: dict[HeaderName, HeaderValue] = Field(
        default_factory=dict,
        max_length=32,
        description="Headers sent with every request; no secrets here, and none of the protocol or the connection.",
    )
    secret_headers: tuple[SecretHeader, ...] = Field(
        default=(), max_length=8, description="Headers sent with every request whose values are in Secrets."
    )
    bearer_token_secret_ref: SecretKeyRef | None = Field(
        default=None, description="Secret key whose value is sent as `Authorization: Bearer`."
    )
    tls: MCPTLSSpec | None = Field(
        default=None,
        description="Trust these authorities only, for an address with `https`. Without it, the public ones.",
    )
    timeout: Duration = Field(default="60s", description="Time limit of one call, with all that belongs to it.")
    max_attempts: int = Field(
        default=3,
        ge=1,
        le=10,
        description=(
            "Attempts when the server is unreachable, busy or failing. A call that the server may have begun to carry "
            "out is made again only if the server says that the tool may be called twice (`idempotentHint`, "
            "`readOnlyHint`)."
        ),
    )
    backoff: BackoffSpec = Field(default_factory=BackoffSpec, description="Pauses between these attempts.")
    breaker: BreakerSpec | None = Field(
        default=None, description="When the server is left alone because it fails again and again."
    )
    refresh: Duration = Field(
        default="5m",
        description="How long the list of its tools counts; of a change that the server tells, agents hear at once.",
    )


class MCPTool(SpecModel):
    """A tool of an MCP server."""

    server: NodeName = Field(description="Server in `spec.mcpServers`.")
    tool: MCPToolName = Field(description="Name that the tool has there.")

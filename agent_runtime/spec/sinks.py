"""Where an agent pushes events to."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field

from agent_runtime.spec.backoff import BackoffSpec
from agent_runtime.spec.base import SpecModel
from agent_runtime.spec.breaker import BreakerSpec
from agent_runtime.spec.headers import HeaderName, HeaderValue
from agent_runtime.spec.scalars import Duration, NodeName, ObjectName
from agent_runtime.spec.secret import SecretKeyRef


class SinkSpec(SpecModel):
    """Another agent, or an address outside, that gets the agent's events by HTTP, as CloudEvents 1.0."""

    name: NodeName = Field(description="Name of the sink, under which its dead letters are listed.")
    agent: ObjectName | None = Field(
        default=None,
        description=(
            "Name of the AgentDeployment that gets the events, in the same namespace; its `events` say what becomes of "
            "them there. Either this or `url` is set."
        ),
    )
    url: str | None = Field(
        default=None,
        pattern=r"^https?://[^/?#@{}\s]+([/?][^#{}\s]*)?$",
        max_length=2048,
        description="Address that events are posted to. Either this or `agent` is set.",
    )
    type: str | None = Field(
        default=None,
        min_length=1,
        max_length=256,
        description="Type of the events to push; one that ends with `*` stands for all that begin so.",
    )
    filter: str | None = Field(
        default=None,
        max_length=2048,
        description="CEL expression over `event` that is true for the events to push.",
    )
    mode: Literal["structured", "binary"] = Field(
        default="structured",
        description="Whether the body is the whole event as JSON, or its data alone, with the attributes as headers.",
    )
    headers: dict[HeaderName, HeaderValue] = Field(
        default_factory=dict,
        max_length=32,
        description="Headers sent to `url` with every event; no secrets here, and none that belong to the connection.",
    )
    bearer_token_secret_ref: SecretKeyRef | None = Field(
        default=None, description="Secret key whose value is sent to `url` as `Authorization: Bearer`."
    )
    api_key_secret_ref: SecretKeyRef | None = Field(
        default=None, description="Secret key whose value is sent to `url` in the header that `apiKeyHeader` names."
    )
    api_key_header: HeaderName = Field(default="X-Api-Key", description="Header that carries the API key.")
    signing_key_secret_ref: SecretKeyRef | None = Field(
        default=None,
        description="Secret key with which requests to `url` are signed, as Standard Webhooks say.",
    )
    timeout: Duration = Field(default="10s", description="Time limit of one request.")
    max_attempts: int = Field(
        default=3,
        ge=1,
        le=10,
        description=(
            "Attempts in a row when the other side is unreachable, busy or failing. After them the event waits for its "
            "next delivery, of which `events.attempts` says how many there are."
        ),
    )
    backoff: BackoffSpec = Field(default_factory=BackoffSpec, description="Pauses between these attempts.")
    breaker: BreakerSpec | None = Field(
        default=None,
        description="When the other side is left alone because it fails again and again; tools of its host share it.",
    )

    @property
    def dependency(self) -> str:
        """What its breaker is called: that of tools of the same host, or of nodes that ask the same agent."""
        return f"agent {self.agent}" if self.url is None else f"host {urlsplit(self.url).netloc.lower()}"

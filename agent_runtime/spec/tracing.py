"""Where traces go."""

from __future__ import annotations

from pydantic import Field

from agent_runtime.spec.base import SpecModel
from agent_runtime.spec.headers import HeaderName, HeaderValue, SecretHeader
from agent_runtime.spec.secret import SecretKeyRef


class TracingTLSSpec(SpecModel):
    """TLS between the agent and the receiver of its traces."""

    ca_secret_ref: SecretKeyRef = Field(
        description="Secret key with the certificates, as PEM, of the authorities that the receiver's may be of."
    )


class TracingSpec(SpecModel):
    """Spans of runs, nodes, and calls of models, tools and agents, sent by OTLP over HTTP (protobuf)."""

    endpoint: str = Field(
        pattern=r"^https?://[^/?#@\s]+(/[^?#\s]*)?$",
        max_length=2048,
        description=(
            "Address of the receiver, such as `http://otel-collector.monitoring.svc:4318`. Without a path, traces are "
            "sent to `/v1/traces`."
        ),
    )
    sample_ratio: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description=(
            "Part of the traces to keep of those that begin here. Of a trace that a caller began, the caller decides."
        ),
    )
    headers: dict[HeaderName, HeaderValue] = Field(
        default_factory=dict,
        max_length=32,
        description="Headers sent with every request; no secrets here, and none that belong to the connection.",
    )
    secret_headers: tuple[SecretHeader, ...] = Field(
        default=(), max_length=8, description="Headers sent with every request whose values are in Secrets."
    )
    tls: TracingTLSSpec | None = Field(
        default=None,
        description="Trust these authorities only, for an address with `https`. Without it, the public ones.",
    )

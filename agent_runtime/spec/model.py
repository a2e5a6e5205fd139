from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from agent_runtime.spec.backoff import BackoffSpec
from agent_runtime.spec.base import SpecModel
from agent_runtime.spec.breaker import BreakerSpec
from agent_runtime.spec.budgets import PriceSpec
from agent_runtime.spec.scalars import Duration, NodeName, Pause
from agent_runtime.spec.secret import SecretKeyRef


class ScriptedToolCall(SpecModel):
    """A tool call that a scripted model makes."""

    name: str = Field(min_length=1, max_length=64, description="Name of the tool to call.")
    arguments: dict[str, Any] = Field(
        default_factory=dict,
        description="Arguments of the call; in texts, `{{ ... }}` holds a CEL expression, as in `reply`.",
    )


class ScriptedRule(SpecModel):
    """One answer of a scripted model, and when it is given."""

    when: str | None = Field(
        default=None,
        max_length=2048,
        description=(
            "CEL condition over `prompt` (the system prompt), `last` (the text of the newest message of a person or "
            "tool) and `messages` (a list of {role, content}). Without it the rule always matches."
        ),
    )
    reply: str = Field(
        default="",
        max_length=8192,
        description="Text of the answer; `{{ ... }}` holds a CEL expression over the same variables.",
    )
    tool_calls: tuple[ScriptedToolCall, ...] = Field(
        default=(), max_length=16, description="Tools that the answer calls."
    )
    delay: Pause | None = Field(default=None, description="How long the answer takes, such as `200ms`.")


class ModelSpec(SpecModel):
    """A language model that the workflow's nodes can use by name."""

    name: NodeName = Field(
        description="Name by which nodes refer to this model; `default` is used where none is named."
    )
    provider: Literal["openai", "scripted"] = Field(
        default="openai",
        description=(
            "`openai` speaks to any OpenAI-compatible endpoint at `baseURL`; `scripted` answers from the rules in "
            "`script` and needs no model server."
        ),
    )
    model: str = Field(default="", max_length=253, description="Model name as the endpoint knows it.")
    base_url: str | None = Field(
        default=None,
        alias="baseURL",
        pattern=r"^https?://[^/?#@\s]+[^?#@\s]*$",
        max_length=2048,
        description="Address of the OpenAI-compatible API, such as `http://llm.models.svc:8000/v1`.",
    )
    api_key_secret_ref: SecretKeyRef | None = Field(
        default=None, description="Secret key that holds the API key; sent as a bearer token."
    )
    temperature: float | None = Field(default=None, ge=0, le=2, description="Sampling temperature, 0 to 2.")
    max_tokens: int | None = Field(default=None, ge=1, description="Largest number of tokens in one answer.")
    timeout: Duration = Field(
        default="60s",
        description="Time limit of one request to the endpoint; of a streamed answer, of the wait for each part.",
    )
    stream_timeout: Duration = Field(default="10m", description="Time limit of a whole streamed answer.")
    max_attempts: int = Field(
        default=4,
        ge=1,
        le=10,
        description="Attempts of one request, with backoff; `Retry-After` is honoured.",
    )
    backoff: BackoffSpec = Field(default_factory=BackoffSpec, description="Pauses between these attempts.")
    breaker: BreakerSpec | None = Field(
        default=None, description="When the endpoint is left alone because it fails again and again."
    )
    price: PriceSpec | None = Field(default=None, description="What the model costs, for `budgets`.")
    script: tuple[ScriptedRule, ...] = Field(
        default=(),
        max_length=64,
        description="Rules of the `scripted` provider, first match wins; the last one has no `when`.",
    )

"""Services that an agent uses by fixed operations, with typed arguments: messages, bookings, knowledge, customers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from agent_runtime.spec.backoff import BackoffSpec
from agent_runtime.spec.base import SpecModel
from agent_runtime.spec.breaker import BreakerSpec
from agent_runtime.spec.scalars import Duration, NodeName
from agent_runtime.spec.secret import SecretKeyRef

IntegrationName = Literal["communications", "bookings", "knowledgeBase", "crm"]

OPERATIONS: Mapping[IntegrationName, tuple[str, ...]] = MappingProxyType(
    {
        "communications": ("send_message", "send_sms", "send_email", "make_call", "send_chat"),
        "bookings": ("execute_integration", "create_reservation", "create_appointment"),
        "knowledgeBase": ("search",),
        "crm": (
            "create_contact", "update_contact", "create_deal", "update_deal", "create_note", "update_note",
        ),
    }
)  # fmt: skip
"""What each integration can do; agent_runtime.integrations has the models of arguments and answers."""

VARIABLES: Mapping[IntegrationName, tuple[str, str]] = MappingProxyType(
    {
        "communications": ("COMMUNICATIONS_API_URL", "COMMUNICATIONS_API_KEY"),
        "bookings": ("INTEGRATION_API_URL", "INTEGRATION_API_KEY"),
        "knowledgeBase": ("KNOWLEDGE_BASE_API_URL", "KNOWLEDGE_BASE_API_KEY"),
        "crm": ("CRM_API_URL", "CRM_API_KEY"),
    }
)
"""Variables of the pod that say an integration's address and key where the spec names no `baseURL`."""

ADDRESS_PATTERN = r"^https?://[^/?#@\s]+[^?#@\s]*$"

OperationName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_]{0,62}$", max_length=63)]
ArgumentName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$", max_length=63)]
ArgumentText = Annotated[str, StringConstraints(max_length=2048)]
Account = Annotated[str, StringConstraints(min_length=1, max_length=253)]


class IntegrationSpec(SpecModel):
    """How a service is reached that offers an integration's operations, see docs/integrations.md."""

    base_url: str | None = Field(
        default=None,
        alias="baseURL",
        pattern=ADDRESS_PATTERN,
        max_length=2048,
        description=(
            "Address under which the operations' paths lie, such as `http://crm.shop.svc:8000/api/v1/crm`. Without "
            "it, the pod's environment says address and key."
        ),
    )
    api_key_secret_ref: SecretKeyRef | None = Field(
        default=None, description="Secret key that holds the API key; sent as a bearer token to `baseURL`."
    )
    timeout: Duration = Field(default="30s", description="Time limit of one request.")
    max_attempts: int = Field(
        default=4,
        ge=1,
        le=10,
        description="Attempts of one call, with backoff and the same `Idempotency-Key`; `Retry-After` is honoured.",
    )
    backoff: BackoffSpec = Field(default_factory=BackoffSpec, description="Pauses between these attempts.")
    breaker: BreakerSpec | None = Field(
        default=None, description="When the service is left alone because it fails again and again."
    )


class KnowledgeBaseSpec(IntegrationSpec):
    """What the agent can look up: a service's documents, or those that were loaded into the agent's own MongoDB."""

    embedding_model: NodeName | None = Field(
        default=None,
        description=(
            "Model in `spec.models` whose endpoint turns texts into vectors (`POST {baseURL}/embeddings`), for "
            "documents in the agent's own MongoDB. Without it, texts are compared by the words and parts of words "
            "that they share."
        ),
    )
    editors: tuple[Account, ...] = Field(
        default=(),
        max_length=32,
        description=(
            "Accounts of callers who may load documents that everybody finds. Others load documents for themselves "
            "alone."
        ),
    )


class IntegrationsSpec(SpecModel):
    """The services behind `tools[].integration`, and behind the clients that an own graph asks for."""

    communications: IntegrationSpec | None = Field(
        default=None, description="Sends messages: SMS, email, phone call, chat."
    )
    bookings: IntegrationSpec | None = Field(
        default=None,
        description="Makes reservations and appointments in systems such as OpenTable, Toast and Doctolib.",
    )
    knowledge_base: KnowledgeBaseSpec | None = Field(
        default=None,
        description=(
            "Searches documents. Without a `baseURL` they lie in `state.mongodb`, and the search is the agent's own."
        ),
    )
    crm: IntegrationSpec | None = Field(default=None, description="Keeps contacts, deals and notes of customers.")

    def by_name(self, name: IntegrationName) -> IntegrationSpec | None:
        """The integration of this name, as it is written."""
        found: IntegrationSpec | None = getattr(self, "knowledge_base" if name == "knowledgeBase" else name)
        return found

    def items(self) -> Iterator[tuple[IntegrationName, IntegrationSpec]]:
        """The integrations that are set."""
        for name in OPERATIONS:
            if (spec := self.by_name(name)) is not None:
                yield name, spec


class IntegrationTool(SpecModel):
    """An operation of an integration, as a tool."""

    name: IntegrationName = Field(description="Integration in `spec.integrations`.")
    operation: OperationName = Field(description="What it does, such as `send_sms`; docs/integrations.md lists them.")
    arguments: dict[ArgumentName, ArgumentText] = Field(
        default_factory=dict,
        max_length=32,
        description="Arguments that always have these values, such as `account_id`; nodes and models don't give them.",
    )

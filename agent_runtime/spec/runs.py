from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from agent_runtime.spec.base import SpecModel
from agent_runtime.spec.secret import SecretKeyRef

Origin = Annotated[str, StringConstraints(pattern=r"^https?://[^/?#@\s]+$", max_length=253)]


class WebhooksSpec(SpecModel):
    """Where clients may have the end of their runs sent to."""

    origins: tuple[Origin, ...] = Field(
        min_length=1,
        max_length=32,
        description="Scheme, host and port that the URL of a webhook may have, such as `https://hooks.example.org`.",
    )
    signing_key_secret_ref: SecretKeyRef | None = Field(
        default=None,
        description="Secret key with which webhooks are signed, as Standard Webhooks say. Without it they are not.",
    )


class RunsSpec(SpecModel):
    """How many runs there may be."""

    concurrency: int = Field(default=32, ge=1, le=1000, description="Runs that execute in a pod at the same time.")
    max_queued: int = Field(
        default=1000,
        ge=1,
        le=100_000,
        description=(
            "Runs of the agent that are accepted and have not ended, over all pods. More are refused with 429; one "
            "caller alone may have nine tenths of them, and half while others have some."
        ),
    )
    attempts: int = Field(
        default=10,
        ge=1,
        le=100,
        description="How often a run is begun whose pod dies each time. One that is handed over counts as begun once.",
    )
    webhooks: WebhooksSpec | None = Field(
        default=None, description="Where webhooks of clients may go; without it they are refused."
    )

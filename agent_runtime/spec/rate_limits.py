from __future__ import annotations

from typing import Literal

from pydantic import Field

from agent_runtime.spec.base import SpecModel

_LARGEST = 1_000_000
TOGETHER = 10
"""How many times as much as one caller may all callers together have, where the spec says nothing of them."""


class WindowsSpec(SpecModel):
    """Other limits for one level; those that are left out are the ones that hold there else."""

    requests_per_minute: int | None = Field(
        default=None, ge=1, le=_LARGEST, description="Most requests within any 60 seconds."
    )
    requests_per_hour: int | None = Field(default=None, ge=1, le=_LARGEST, description="Most requests within any hour.")
    requests_per_day: int | None = Field(
        default=None, ge=1, le=_LARGEST, description="Most requests within any 24 hours."
    )
    burst: int | None = Field(default=None, ge=1, le=_LARGEST, description="Most requests within any second.")


class RateLimitsSpec(SpecModel):
    """How many runs are accepted, and how often a workflow may go to another agent or hand over."""

    requests_per_minute: int = Field(
        default=60,
        ge=1,
        le=_LARGEST,
        description="Most requests of one caller, and of one person, within any 60 seconds.",
    )
    requests_per_hour: int = Field(
        default=1000, ge=1, le=_LARGEST, description="Most requests of one, likewise, within any hour."
    )
    requests_per_day: int = Field(
        default=10000, ge=1, le=_LARGEST, description="Most requests of one, likewise, within any 24 hours."
    )
    burst: int = Field(default=10, ge=1, le=_LARGEST, description="Most requests of one, likewise, within any second.")
    per_account: WindowsSpec | None = Field(
        default=None, description="Other limits for one caller: an agent, a ServiceAccount, an API key or a token's."
    )
    per_user: WindowsSpec | None = Field(
        default=None, description="Other limits for one person, where tokens name the person for whom a caller asks."
    )
    per_agent: WindowsSpec | None = Field(
        default=None,
        description=(
            "Other limits for all callers together; those that are left out are ten times as much as for one caller."
        ),
    )
    on_unavailable: Literal["Allow", "Refuse"] = Field(
        default="Allow",
        description=(
            "While Redis can't be reached: `Allow` counts in each pod by itself, so that replicas allow more together; "
            "`Refuse` answers 503."
        ),
    )

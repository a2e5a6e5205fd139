from __future__ import annotations

from pydantic import Field

from agent_runtime.spec.base import SpecModel
from agent_runtime.spec.scalars import Duration


class BreakerSpec(SpecModel):
    """When a dependency that fails again and again is left alone (a circuit breaker)."""

    failure_threshold: int = Field(
        default=5,
        ge=1,
        le=1000,
        description="Failures in a row, of connections, servers or time limits, after which it is no longer asked.",
    )
    timeout: Duration = Field(
        default="60s", description="How long it is then not asked; after that, one try at a time."
    )
    success_threshold: int = Field(
        default=2, ge=1, le=100, description="Tries in a row that have to succeed until it is asked as before."
    )

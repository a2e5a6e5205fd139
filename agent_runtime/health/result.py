from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from agent_runtime.state.records import now

if TYPE_CHECKING:
    from collections.abc import Iterable


class HealthStatus(StrEnum):
    """How something is. What is degraded works, but not all of it, or not as it should."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True)
class HealthResult:
    """What a check found. The message holds no secret and no address."""

    name: str
    kind: str
    status: HealthStatus
    message: str | None = None
    response_time_ms: float | None = None
    """Of the call that the check made, where it made one."""
    breaker: str | None = None
    """State of the circuit breaker in this pod, where there is one."""
    checked_at: datetime = field(default_factory=now)
    dependencies: tuple[HealthResult, ...] = ()

    @property
    def as_json(self) -> dict[str, Any]:
        """As clients get it; what is not known is left out."""
        told: dict[str, Any] = {
            "name": self.name,
            "kind": self.kind,
            "status": self.status.value,
            "message": self.message,
            "response_time_ms": self.response_time_ms,
            "breaker": self.breaker,
            "checked_at": self.checked_at,
        }
        if self.dependencies:
            told["dependencies"] = [one.as_json for one in self.dependencies]
        return {name: value for name, value in told.items() if value is not None}


def overall(own: HealthStatus, others: Iterable[HealthStatus]) -> HealthStatus:
    """How the whole is: its own status counts, and others that are not healthy degrade it."""
    if own is HealthStatus.HEALTHY and any(other is not HealthStatus.HEALTHY for other in others):
        return HealthStatus.DEGRADED
    return own

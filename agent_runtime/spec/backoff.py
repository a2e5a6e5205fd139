from __future__ import annotations

from pydantic import Field

from agent_runtime.spec.base import SpecModel
from agent_runtime.spec.scalars import Pause


class BackoffSpec(SpecModel):
    """The pauses between attempts of one request."""

    initial: Pause = Field(default="200ms", description="Pause before the second attempt.")
    factor: float = Field(default=2.0, ge=1, le=10, description="Factor by which the pause grows.")
    max: Pause = Field(default="5s", description="Longest pause, unless the other side asks for a longer one.")
    jitter: bool = Field(
        default=True, description="Add up to a second to each pause, so that many callers don't come back at once."
    )

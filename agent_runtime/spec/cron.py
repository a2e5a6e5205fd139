from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from agent_runtime.spec.base import SpecModel
from agent_runtime.spec.scalars import Duration, NodeName
from agent_runtime.spec.schedule import CronText, TimeZone

STARTING_DEADLINE = "1h"


class CronSpec(SpecModel):
    """Runs that the agent begins by itself, by the clock."""

    name: NodeName = Field(description="Name of the cron, unique in this list.")
    schedule: CronText = Field(
        description="When: minute, hour, day of the month, month, day of the week, such as `0 8 * * MON-FRI`."
    )
    time_zone: TimeZone = Field(default="Etc/UTC", description="Time zone of the schedule, such as `Europe/Berlin`.")
    input: dict[str, Any] = Field(default_factory=dict, description="Input of the runs: fields of the state.")
    enabled: bool = Field(default=True, description="Whether it makes runs.")
    on_completion: Literal["delete", "keep"] = Field(
        default="delete",
        description="What becomes of a run's thread ten minutes after its end; `keep` leaves it there.",
    )
    starting_deadline: Duration = Field(
        default=STARTING_DEADLINE,
        description=(
            "How long after its time a run may still begin, where no pod was there or too many runs had not ended. Of "
            "several that are late, only the latest begins."
        ),
    )

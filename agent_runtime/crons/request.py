"""What a client may ask of a cron, as langgraph-sdk sends it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from agent_runtime.runs.request import RunConfig, StreamMode
from agent_runtime.spec.schedule import CronText, TimeZone


def _in_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


Moment = Annotated[datetime, AfterValidator(_in_utc)]
"""A time; without an offset it is one in UTC."""


class CronChange(BaseModel):
    """The body that changes a cron: what it does not name stays."""

    model_config = ConfigDict(extra="ignore")

    schedule: CronText | None = None
    timezone: TimeZone | None = None
    end_time: Moment | None = None
    enabled: bool | None = None
    metadata: dict[str, Any] | None = None
    on_run_completed: Literal["delete", "keep"] | None = None
    # These are what each run asks for.
    input: Any = None
    config: RunConfig | None = None
    context: dict[str, Any] | None = None
    webhook: str | None = Field(default=None, max_length=2048)
    interrupt_before: Literal["*"] | list[str] | None = None
    interrupt_after: Literal["*"] | list[str] | None = None
    multitask_strategy: Literal["reject", "enqueue", "interrupt", "rollback"] | None = None
    stream_mode: StreamMode | Annotated[list[StreamMode], Field(min_length=1)] | None = None
    stream_subgraphs: bool | None = None
    stream_resumable: bool | None = None
    durability: Literal["sync", "async", "exit"] | None = None

    @property
    def request(self) -> dict[str, Any]:
        """The fields of a run's request that it names."""
        named = self.model_dump(mode="json", exclude_unset=True, exclude_none=True)
        asked = {name: value for name, value in named.items() if name not in _OF_THE_CRON}
        if self.on_run_completed is not None:
            asked["on_completion"] = self.on_run_completed
        return asked


_OF_THE_CRON = frozenset(
    {"schedule", "timezone", "end_time", "enabled", "metadata", "on_run_completed", "assistant_id"}
)


class NewCron(CronChange):
    """The body that makes a cron."""

    schedule: CronText
    assistant_id: str


SortBy = Literal["cron_id", "assistant_id", "thread_id", "created_at", "updated_at", "next_run_date", "end_time"]


class CronSearch(BaseModel):
    """The body that looks for crons."""

    model_config = ConfigDict(extra="ignore")

    assistant_id: str | None = None
    thread_id: str | None = None
    enabled: bool | None = None
    metadata: dict[str, Any] = Field(default_factory=dict)
    limit: int = Field(default=10, ge=1, le=1000)
    offset: int = Field(default=0, ge=0, le=1_000_000)
    sort_by: SortBy = "created_at"
    sort_order: Literal["asc", "desc"] = "desc"
    select: tuple[str, ...] | None = None

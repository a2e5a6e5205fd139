"""A cron as it is kept."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Self
from uuid import NAMESPACE_OID, uuid5

from agent_runtime.auth.principal import Principal
from agent_runtime.runs.request import RunRequest
from agent_runtime.spec.schedule import Schedule
from agent_runtime.state.records import now

if TYPE_CHECKING:
    from datetime import datetime

DEADLINE = 3600.0
"""Seconds after its time within which a tick may still make its run."""
CRON = "cron_id"
"""Tells in a run's metadata which cron made it."""
_COUNTED = timedelta(days=7)
"""How far back missed ticks are counted."""


@dataclass(frozen=True)
class Cron:
    """Runs of a caller that begin by the clock. `request` is what each of them asks for."""

    cron_id: str
    caller: dict[str, str]
    """The `Principal` whose runs they are, as its `kept`."""
    schedule: str
    request: dict[str, Any]
    timezone: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    thread_id: str | None = None
    """The key of the thread in which the runs are; None where each has one of its own."""
    enabled: bool = True
    end_time: datetime | None = None
    declared: bool = False
    """Whether it stands in the agent's spec: then only pods that have it in their spec act for it."""
    deadline: float = DEADLINE
    next: datetime | None = None
    """The first tick that nothing was done for; None where there is none to come."""
    due: datetime | None = None
    """When a pod has to look after `next`: later than that while one does, or where there was no room for the run."""
    claimed: bool = False
    """Whether a pod began to make the run of `next`, and may have died since."""
    missed: int = 0
    """Ticks that no run was made for."""
    last: datetime | None = None
    """The newest tick that made a run."""
    problem: str | None = None
    """Why the newest tick made no run, or makes none yet."""
    created_at: datetime = field(default_factory=now)
    updated_at: datetime = field(default_factory=now)
    revision: int = 0
    """Grows with each change; who wants to change it has to know the newest one."""

    @property
    def principal(self) -> Principal:
        """Whose runs they are."""
        return Principal(**self.caller)  # type: ignore[arg-type] # as `kept` wrote it

    @property
    def owner(self) -> str:
        """Whose the cron is, as with threads."""
        return self.principal.owner

    @property
    def times(self) -> Schedule:
        """The schedule in its time zone."""
        return Schedule.of(self.schedule, self.timezone)

    @property
    def asked(self) -> RunRequest:
        """What the run of a tick asks for."""
        return RunRequest.model_validate({**self.request, "metadata": {**self.metadata, CRON: self.cron_id}})

    def run_id(self, tick: datetime) -> str:
        """The id of a tick's run: the same, whichever pod makes it, and however often."""
        return str(uuid5(NAMESPACE_OID, f"{self.cron_id}:{int(tick.timestamp())}"))

    def waiting(self, after: datetime) -> Self:
        """With the first tick after a time as the next one."""
        tick = self.times.next(after) if self.enabled else None
        if tick is not None and self.end_time is not None and tick > self.end_time:
            tick = None
        return replace(self, next=tick, due=tick, claimed=False)

    def late(self, moment: datetime) -> tuple[datetime, int]:
        """The newest tick that has come by then, and how many before it have. `next` has come."""
        assert self.next is not None  # noqa: S101 - said above
        limit = min(moment, self.end_time) if self.end_time else moment
        following = self.times.after(max(self.next, moment - _COUNTED))
        ticks = [self.next, *takewhile(lambda tick: tick <= limit, following)]
        return ticks[-1], len(ticks) - 1

    @property
    def fields(self) -> dict[str, Any]:
        """By name; `Cron(**fields)` is the same cron."""
        return asdict(self)

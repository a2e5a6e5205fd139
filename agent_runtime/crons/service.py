"""What clients can do with crons."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from uuid import uuid4

from agent_runtime.crons.cron import Cron
from agent_runtime.errors import ConflictError, InputError, NotFoundError
from agent_runtime.state.records import now, shown

if TYPE_CHECKING:
    from agent_runtime.auth.principal import Principal
    from agent_runtime.crons.request import CronChange, CronSearch, NewCron
    from agent_runtime.crons.store import CronStore
    from agent_runtime.crons.ticker import Ticker
    from agent_runtime.runs.service import RunService

_MOST = 100
"""Crons of one caller. Those that are made at several pods in the same moment may be a few more."""
_TRIES = 10


@dataclass(frozen=True)
class Crons:
    """A caller's crons: each sees and changes their own."""

    store: CronStore
    ticker: Ticker
    runs: Callable[[], RunService]

    async def create(self, asked: NewCron, caller: Principal, thread_id: str | None = None) -> Cron:
        """A new cron, in a thread (its key) or with a thread of its own for each run.

        Raises:
            NotFoundError: There is no such thread.
            InputError: The runs' input or webhook does not fit, or the caller has too many crons.
        """
        if thread_id is not None and await self.runs().store.thread(thread_id) is None:
            raise NotFoundError(f"there is no thread {shown(thread_id)}")
        if len(await self.store.of(caller.owner)) >= _MOST:
            raise InputError(f"you have {_MOST} crons, which is the most for one caller: delete some")
        cron = Cron(
            cron_id=str(uuid4()),
            caller=caller.kept,
            schedule=asked.schedule,
            timezone=asked.timezone,
            request={"assistant_id": asked.assistant_id, **asked.request},
            metadata=asked.metadata or {},
            thread_id=thread_id,
            enabled=asked.enabled is not False,
            end_time=asked.end_time,
        )
        self.runs().checked(cron.asked)
        cron = cron.waiting(now())
        await self.store.add(cron)
        self.ticker.wake()
        return cron

    async def get(self, cron_id: str, caller: Principal) -> Cron:
        """The caller's cron.

        Raises:
            NotFoundError: There is none.
        """
        cron = await self.store.get(cron_id)
        if cron is None or cron.declared or cron.owner != caller.owner:
            raise NotFoundError(f"there is no cron {cron_id}")
        return cron

    async def update(self, cron_id: str, asked: CronChange, caller: Principal) -> Cron:
        """The cron with what is named changed. A change of times goes for ticks from now on.

        Raises:
            NotFoundError: There is none.
            InputError: The runs' input or webhook does not fit.
            ConflictError: It changes all the time.
        """
        for _ in range(_TRIES):
            cron = await self.get(cron_id, caller)
            changed = _changed(cron, asked)
            self.runs().checked(changed.asked)
            if kept := await self.store.change(changed):
                self.ticker.wake()
                return kept
        raise ConflictError(f"cron {cron_id} is being changed by others: try again")

    async def delete(self, cron_id: str, caller: Principal) -> None:
        """Ends a cron; the runs that it made stay. Raises NotFoundError if there is none."""
        await self.get(cron_id, caller)
        await self.store.remove(cron_id)

    async def search(self, asked: CronSearch, caller: Principal) -> list[Cron]:
        """All crons of the caller that fit, in no order, whatever the limit."""
        thread = None if asked.thread_id is None else caller.key(asked.thread_id)
        return [
            cron
            for cron in await self.store.of(caller.owner)
            if (thread is None or cron.thread_id == thread)
            and (asked.enabled is None or cron.enabled == asked.enabled)
            and all(name in cron.metadata and cron.metadata[name] == asked.metadata[name] for name in asked.metadata)
        ]


def _changed(cron: Cron, asked: CronChange) -> Cron:
    named = asked.model_fields_set
    changed = replace(
        cron,
        schedule=asked.schedule or cron.schedule,
        timezone=asked.timezone or cron.timezone,
        end_time=asked.end_time if "end_time" in named else cron.end_time,
        enabled=cron.enabled if asked.enabled is None else asked.enabled,
        metadata=cron.metadata if asked.metadata is None else asked.metadata,
        request={**cron.request, **asked.request},
        updated_at=now(),
    )
    times = ("schedule", "timezone", "end_time", "enabled")
    if any(getattr(changed, name) != getattr(cron, name) for name in times):
        return replace(changed.waiting(now()), problem=None)
    return changed

"""Makes the runs of crons when they are due: one for each tick, over all pods."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from agent_runtime.crons.declared import declared
from agent_runtime.errors import AgentError, NotFoundError, TooManyRequestsError, UnavailableError
from agent_runtime.loops import Loop
from agent_runtime.runs.caller import Caller
from agent_runtime.state.records import now

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from agent_runtime.crons.cron import Cron
    from agent_runtime.crons.metrics import CronMetrics
    from agent_runtime.crons.store import CronStore
    from agent_runtime.runs.service import RunService
    from agent_runtime.spec.agent import RuntimeConfig

log = structlog.get_logger()

_LOOK = 15.0
"""Most seconds between looks for when the next tick is due: another pod may have been told of a cron, and died."""
_AGAIN = 1.0
"""Seconds until the next look after one that failed."""
_TAKEN = 10.0
"""Seconds that others leave a tick to the pod that makes its run. That pod makes none later than that."""
_PUT_OFF = 60.0
"""Most seconds until the next try where there was no room for a run."""
_FORGOTTEN = timedelta(minutes=10)
"""How long no pod has looked after a cron of the spec, when it is taken for one that stands in no pod's spec. It is
due until then, and whoever counts what is due keeps a pod for it."""
_TIDY = 60.0
"""Seconds between looks for such crons."""
_BATCH = 100
_AT_ONCE = 8


class Ticker:
    """Takes each tick by a conditional write, makes its run, and then goes on to the next tick; a part of the agent.

    A pod that dies in between leaves the tick to another one. Both make the same run, since the run's id is that of
    the tick: so nothing depends on the clocks of the pods but when they look.
    """

    def __init__(
        self,
        store: CronStore,
        config: RuntimeConfig,
        metrics: CronMetrics,
        runs: Callable[[], RunService],
    ) -> None:
        """`runs` is asked once it works."""
        self._store = store
        self._declared = declared(config)
        self._own = {cron.cron_id: cron for cron in self._declared if cron.enabled}
        self._metrics = metrics
        self._runs = runs
        self._woken = asyncio.Event()
        self._ending = False
        self._tidied = float("-inf")
        self._loop: asyncio.Task[None] | None = None

    async def prepare(self) -> None:
        """Makes what has to be there for the crons of the spec, too."""
        await self._store.prepare()
        for cron in self._declared:
            if cron.enabled:
                await self._store.add(cron.waiting(now()))
            else:
                await self._store.remove(cron.cron_id)

    def start(self) -> None:
        """Begins to wait for ticks."""
        self._loop = asyncio.create_task(self._work())

    @property
    def healthy(self) -> bool:
        """Whether it still waits for ticks."""
        return self._loop is None or self._ending or not self._loop.done()

    def wake(self) -> None:
        """Says that a tick may be due earlier than known."""
        self._woken.set()

    def drain(self) -> None:
        """Leaves ticks to other pods."""
        self._ending = True
        self.wake()

    async def close(self) -> None:
        """Ends; a tick that is being taken is completed by another pod."""
        self._ending = True
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)

    async def _work(self) -> None:
        loop = Loop("crons")
        while not self._ending:
            self._woken.clear()
            pause = _AGAIN
            async with loop.turn():
                pause = await self._look()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._woken.wait()

    async def _look(self) -> float:
        """Sees to what is due; seconds until there is more to do."""
        await self._tidy()
        upcoming = await self._store.upcoming(self._own.keys(), _BATCH)
        moment = now()
        ready = [cron for cron in upcoming if cron.due is not None and cron.due <= moment]
        if not ready:
            waits = [(cron.due - moment).total_seconds() for cron in upcoming[:1] if cron.due is not None]
            return min([_LOOK, *waits])
        # In an order of its own, since all pods wake at the same time.
        random.shuffle(ready)
        slots = asyncio.Semaphore(_AT_ONCE)

        async def see_to(cron: Cron) -> None:
            async with slots:
                if not self._ending:
                    await self._see_to(cron)

        failed = [one for one in await asyncio.gather(*map(see_to, ready), return_exceptions=True) if one is not None]
        for problem in failed:
            if not isinstance(problem, UnavailableError):
                log.error("a tick failed", exc_info=problem)
        return _AGAIN if failed else 0.0

    async def _tidy(self) -> None:
        """Forgets, from time to time, crons of specs that no pod has."""
        if time.monotonic() - self._tidied >= _TIDY:
            self._tidied = time.monotonic()
            await self._store.forget_declared(self._own.keys(), now() - _FORGOTTEN)

    async def _see_to(self, cron: Cron) -> None:
        """Takes the newest tick that has come, makes its run, and goes on to the next one."""
        moment = now()
        cron = self._current(cron)
        tick, before = (cron.next, 0) if cron.claimed else cron.late(moment)
        if tick is None:
            return
        if (moment - tick).total_seconds() > cron.deadline and not (cron.claimed and await self._made(cron, tick)):
            await self._go_on(cron, tick, missed=before + 1, problem="it was too late for the run of the newest tick")
            return
        begun = time.monotonic()
        due = moment + timedelta(seconds=_TAKEN)
        taken = await self._store.change(replace(cron, next=tick, due=due, claimed=True, missed=cron.missed + before))
        if taken is None:
            return
        if before:
            self._missed(cron, before)
        if time.monotonic() - begun < _TAKEN:
            await self._make(taken, tick)

    def _current(self, cron: Cron) -> Cron:
        """The cron as the spec of this pod says, where it stands there."""
        own = self._own.get(cron.cron_id)
        return cron if own is None else replace(cron, request=own.request, deadline=own.deadline)

    async def _made(self, cron: Cron, tick: datetime) -> bool:
        run_id = cron.run_id(tick)
        return await self._runs().store.run(cron.thread_id or cron.principal.key(run_id), run_id) is not None

    async def _make(self, cron: Cron, tick: datetime) -> None:
        """Makes the run of a tick that was taken here. Raises UnavailableError: then it is tried again."""
        try:
            await self._runs().submit(cron.thread_id, cron.asked, Caller(cron.principal, run_id=cron.run_id(tick)))
        except UnavailableError:
            raise
        except TooManyRequestsError as error:
            self._metrics.count("put off")
            log.warning("there is no room for the run of a cron", cron_id=cron.cron_id, reason=str(error))
            pause = timedelta(seconds=max(_AGAIN, min(error.retry_after, _PUT_OFF)))
            await self._store.change(replace(cron, due=now() + pause, claimed=False, problem=str(error)))
        except NotFoundError as error:
            log.warning("a cron ends with its thread", cron_id=cron.cron_id)
            self._metrics.count("refused")
            await self._store.change(replace(cron, enabled=False, problem=str(error)).waiting(tick))
        except AgentError as error:
            log.warning("the run of a cron is refused", cron_id=cron.cron_id, reason=str(error))
            self._metrics.count("refused")
            await self._go_on(cron, tick, problem=str(error))
        else:
            self._metrics.run((now() - tick).total_seconds())
            await self._go_on(replace(cron, last=tick), tick)

    async def _go_on(self, cron: Cron, tick: datetime, *, missed: int = 0, problem: str | None = None) -> None:
        changed = replace(cron.waiting(tick), missed=cron.missed + missed, problem=problem)
        if await self._store.change(changed) is not None and missed:
            self._missed(cron, missed)

    def _missed(self, cron: Cron, number: int) -> None:
        log.warning("a cron missed ticks", cron_id=cron.cron_id, count=number)
        self._metrics.count("missed", number)

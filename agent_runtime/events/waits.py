"""Events that go on with runs whose `wait` node waits for them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from agent_runtime.auth.principal import Principal
from agent_runtime.errors import ConflictError, UnavailableError
from agent_runtime.events.match import Match
from agent_runtime.events.subscription import EVENT, told
from agent_runtime.runs.caller import Caller
from agent_runtime.runs.resumption import ANSWER, Resumption
from agent_runtime.state.records import now

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from agent_runtime.events.event import Event
    from agent_runtime.events.records import Entry
    from agent_runtime.events.wait import Wait, WaitStorage
    from agent_runtime.runs.service import RunService
    from agent_runtime.state.records import Thread

EARLY = timedelta(minutes=5)
"""How long an event that nobody waits for is kept for a `wait` that comes later: an answer may come before its question
has been put down."""
_SOON = timedelta(seconds=2)


@dataclass(frozen=True)
class Waits:
    """A consumer that hands events to waiting runs. An event goes to all that wait for it, or to the first that will.

    Attributes:
        patterns: type and source of the spec's `wait` nodes.
    """

    patterns: Sequence[Match]
    storage: WaitStorage
    runs: Callable[[], RunService]
    name: str = "wait"

    async def wants(self, event: Event) -> bool:
        """Whether some node may wait for such an event."""
        for pattern in self.patterns:
            if await pattern.fits(event):
                return True
        return False

    async def begin(self, wait: Wait) -> Entry | None:
        """Notes that a node waits; the event, if it got one or one has come already."""
        kept = await self.storage.begin(wait)
        if kept.entry is not None:
            return kept.entry
        for entry in await self.storage.early(kept):
            if await kept.fits(entry.event) and await self._give(kept, entry):
                await self.storage.drop_early(entry)
                return entry
        return None

    async def deliver(self, entry: Entry) -> None:
        """Gives the event to those that wait for it.

        Raises:
            UnavailableError: The state can't be reached, or a run that waits has not come to rest yet.
        """
        await self._hand_out(entry)
        if not await self.storage.given(entry):
            await self.storage.keep_early(entry, now() + EARLY)
            # One that began to wait meanwhile may have looked before the event was kept.
            await self._hand_out(entry)
        given = await self.storage.given(entry)
        if given:
            await self.storage.drop_early(entry)
        for thread_id in dict.fromkeys(wait.thread_id for wait in given):
            await self._resume(thread_id, {wait.interrupt_id for wait in given if wait.thread_id == thread_id}, entry)

    async def _hand_out(self, entry: Entry) -> None:
        types = [pattern.type for pattern in self.patterns if pattern.type is not None]
        for wait in await self.storage.waiting(entry.event, types):
            if await wait.fits(entry.event):
                await self._give(wait, entry)

    async def _give(self, wait: Wait, entry: Entry) -> bool:
        """Whether the wait got the event; no thread gets one at two steps, also if it is delivered twice."""
        before = await self.storage.given(entry)
        if any(other.thread_id == wait.thread_id and other.step != wait.step for other in before):
            return False
        return await self.storage.give(wait, entry)

    async def _resume(self, thread_id: str, interrupts: Collection[str], entry: Entry) -> None:
        runs = self.runs()
        thread = await runs.store.thread(thread_id)
        if thread is None:
            return
        resumption = Resumption(runs)
        standing = await resumption.standing(thread)
        if standing.newest is not None and standing.newest.metadata.get(ANSWER) == _mark(entry):
            return  # delivered before
        if standing.busy:
            late = now() - entry.accepted_at > _SOON
            raise UnavailableError("the run that waits has not come to rest", retry_after=1 if late else 0)
        answers = {asked.id: entry.event.as_json for asked in standing.asked if asked.id in interrupts}
        if not answers:
            return  # the node saw the event itself, or its time was over
        metadata = {ANSWER: _mark(entry), EVENT: told(entry.event, self.name)}
        try:
            await resumption.resume(thread, standing, answers, _caller(thread, entry), metadata, own=True)
        except ConflictError as error:
            raise UnavailableError(str(error), retry_after=0) from error


def _mark(entry: Entry) -> str:
    return f"event:{entry.key}"


def _caller(thread: Thread, entry: Entry) -> Caller:
    trace = {"traceparent": entry.event.traceparent} if entry.event.traceparent else {}
    return Caller(Principal.of_owner(thread.owner), entry.event.hops, trace)

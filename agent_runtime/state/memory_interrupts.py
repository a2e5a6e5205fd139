from __future__ import annotations

from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from agent_runtime.state.interrupts import Pending
from agent_runtime.state.records import now

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from datetime import datetime

    from agent_runtime.state.interrupts import Interrupt, InterruptQuery, InterruptStatus


_REMEMBERED = 200
"""Interrupts that have ended of which it is known how."""


class MemoryInterrupts:
    """Keeps interrupts as long as their threads."""

    def __init__(self) -> None:
        self._interrupts: dict[tuple[str, str], Interrupt] = {}
        self._over: dict[tuple[str, str], Interrupt] = {}
        """Those that have ended, the oldest first."""

    async def note_interrupts(self, found: Sequence[Interrupt]) -> None:
        for one in found:
            key = (one.thread_id, one.interrupt_id)
            known = self._over.pop(key, None) or self._interrupts.get(key)
            self._interrupts[key] = replace(one, since=known.since) if known else one

    async def end_interrupts(
        self, thread_id: str, status: InterruptStatus, *, ids: Collection[str] | None = None, but: Collection[str] = ()
    ) -> list[str]:
        ended = [
            key
            for key in self._interrupts
            if key[0] == thread_id and (ids is None or key[1] in ids) and key[1] not in but
        ]
        kinds = [self._interrupts[key].kind for key in ended]
        for key in ended:
            self._over[key] = replace(self._interrupts.pop(key), status=status, ended=now())
        while len(self._over) > _REMEMBERED:
            del self._over[next(iter(self._over))]
        return kinds

    async def interrupt(self, thread_id: str, interrupt_id: str) -> Interrupt | None:
        key = (thread_id, interrupt_id)
        return self._interrupts.get(key) or self._over.get(key)

    async def interrupt_of(self, handle: str) -> Interrupt | None:
        return next((one for one in self._all if one.handle == handle), None)

    async def interrupts(self, query: InterruptQuery) -> list[Interrupt]:
        found = sorted((one for one in self._all if query.fits(one)), key=lambda one: (one.since, one.thread_id))
        return found[query.offset : query.offset + query.limit]

    async def approvers(self) -> list[str]:
        return list({mark for one in self._all for mark in one.approvers})

    async def pending(self, kind: str) -> Pending:
        found = [one.since for one in self._interrupts.values() if one.kind == kind]
        return Pending(len(found), min(found, default=None))

    async def expiring(self, limit: int) -> list[Interrupt]:
        found = [(one.due, one) for one in self._interrupts.values() if one.due is not None]
        return [one for _, one in sorted(found, key=lambda pair: pair[0])[:limit]]

    async def claim_interrupt(self, interrupt: Interrupt, until: datetime) -> bool:
        key = (interrupt.thread_id, interrupt.interrupt_id)
        kept = self._interrupts.get(key)
        if kept is None or kept.due != interrupt.due:
            return False
        self._interrupts[key] = replace(kept, due=until)
        return True

    async def asked_threads(self, after: str, limit: int) -> list[str]:
        return sorted({thread_id for thread_id, _ in self._interrupts if thread_id > after})[:limit]

    async def unnoted_threads(self, limit: int) -> list[str]:  # noqa: ARG002 - no other release wrote here
        return []

    async def set_asked(self, thread_id: str, *, asked: bool) -> None:
        """Nothing: `_asked` counts them."""

    @property
    def _all(self) -> Iterator[Interrupt]:
        return chain(self._interrupts.values(), self._over.values())

    def _asked(self, thread_id: str) -> bool:
        return any(name == thread_id for name, _ in self._interrupts)

    def _forget_interrupts(self, thread_id: str) -> None:
        for kept in (self._interrupts, self._over):
            for key in [key for key in kept if key[0] == thread_id]:
                del kept[key]

"""Dead letters as callers see them: their own events', and those of everybody for whom the spec says so."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent_runtime.auth.approvers import marks_of
from agent_runtime.errors import NotFoundError
from agent_runtime.events.records import Letter, SealedLetter

if TYPE_CHECKING:
    from agent_runtime.auth.principal import Principal
    from agent_runtime.events.log import EventLog

_SCANNED = 1000
"""Dead letters that one request looks at; the next page goes on behind them."""
_BATCH = 100


@dataclass(frozen=True)
class Page:
    """Some dead letters, and where to go on; None where there are no more."""

    letters: list[Letter]
    next: str | None


@dataclass(frozen=True)
class DeadLetters:
    """What a caller can do with dead letters. Those of others are as if they were not there."""

    log: EventLog
    stewards: tuple[str, ...]
    """Who has everybody's, as `auth.approvers` reads it."""

    async def page(self, caller: Principal, consumer: str | None, limit: int, after: str = "") -> Page:
        """Dead letters in the order of their ids, from behind the id `after`."""
        found: list[Letter] = []
        all_of_them, seen = self.manages(caller), 0
        while seen < _SCANNED:
            batch = await self.log.dead_letters(consumer, _BATCH, after)
            for letter in batch:
                seen, after = seen + 1, letter.id
                if all_of_them or letter.owner == caller.owner:
                    found.append(letter)
                if len(found) == limit:
                    return Page(found, after)
            if len(batch) < _BATCH:
                return Page(found, None)
        return Page(found, after)

    async def replay(self, caller: Principal, identifier: str) -> None:
        """Has an event delivered again. Raises NotFoundError or UnreadableError."""
        await self._own(caller, identifier)
        await self.log.replay(identifier)

    async def discard(self, caller: Principal, identifier: str) -> None:
        """Forgets a dead letter. Raises NotFoundError."""
        await self._own(caller, identifier)
        await self.log.discard(identifier)

    async def replay_all(self, caller: Principal, consumer: str) -> tuple[int, bool]:
        """Has the events of a consumer delivered again: how many, and whether some are left for another request.

        Those that can't be read stay, and are passed by.

        Raises:
            NotFoundError: There is no such consumer.
        """
        if consumer not in self.log.consumers:
            raise NotFoundError(f"the agent has no consumer {consumer}: there are {', '.join(self.log.consumers)}")
        page, readable = Page([], ""), list[Letter]()
        while not readable and page.next is not None:
            page = await self.page(caller, consumer, _SCANNED, page.next)
            readable = [letter for letter in page.letters if not isinstance(letter, SealedLetter)]
        for letter in readable:
            with suppress(NotFoundError):  # somebody else was quicker
                await self.log.replay(letter.id)
        return len(readable), page.next is not None

    async def discard_all(self, caller: Principal, consumer: str) -> tuple[int, bool]:
        """Forgets the dead letters of a consumer, which the spec need not have any more; answers as `replay_all`."""
        page = await self.page(caller, consumer, _SCANNED)
        for letter in page.letters:
            with suppress(NotFoundError):
                await self.log.discard(letter.id)
        return len(page.letters), page.next is not None

    def manages(self, caller: Principal) -> bool:
        """Whether the spec gives the caller all dead letters."""
        return bool(marks_of(caller, self.stewards))

    async def _own(self, caller: Principal, identifier: str) -> None:
        letter = await self.log.dead_letter(identifier)
        if not self.manages(caller) and letter.owner != caller.owner:
            raise NotFoundError(f"there is no dead letter {identifier}")

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from agent_runtime.crons.cron import Cron


class CronStore(Protocol):
    """Keeps the crons of one agent. Every method may raise UnavailableError."""

    async def prepare(self) -> None:
        """Makes what has to be there."""

    async def add(self, cron: Cron) -> bool:
        """Whether the cron is new and was added."""

    async def get(self, cron_id: str) -> Cron | None:
        """The cron, if there is one."""

    async def of(self, owner: str) -> list[Cron]:
        """All crons of a caller, besides declared ones."""

    async def change(self, cron: Cron) -> Cron | None:
        """Writes the cron with the next revision; None if it is gone, or not of the revision given any more."""

    async def remove(self, cron_id: str) -> bool:
        """Whether the cron was there and is removed."""

    async def upcoming(self, declared: Collection[str], limit: int) -> list[Cron]:
        """Those that have a `due`, the earliest first; of declared crons only the ones of these ids."""

    async def forget_declared(self, besides: Collection[str], before: datetime) -> None:
        """Removes declared crons whose `due` is before a time, besides those of some ids."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection
    from datetime import datetime

    from agent_runtime.crons.cron import Cron


class MemoryCrons:
    """Crons that end with the pod."""

    def __init__(self) -> None:
        self._crons: dict[str, Cron] = {}

    async def prepare(self) -> None:
        """Nothing has to be made."""

    async def add(self, cron: Cron) -> bool:
        """See `CronStore`."""
        return self._crons.setdefault(cron.cron_id, cron) is cron

    async def get(self, cron_id: str) -> Cron | None:
        """See `CronStore`."""
        return self._crons.get(cron_id)

    async def of(self, owner: str) -> list[Cron]:
        """See `CronStore`."""
        return [cron for cron in self._crons.values() if cron.owner == owner and not cron.declared]

    async def change(self, cron: Cron) -> Cron | None:
        """See `CronStore`."""
        kept = self._crons.get(cron.cron_id)
        if kept is None or kept.revision != cron.revision:
            return None
        changed = self._crons[cron.cron_id] = replace(cron, revision=cron.revision + 1)
        return changed

    async def remove(self, cron_id: str) -> bool:
        """See `CronStore`."""
        return self._crons.pop(cron_id, None) is not None

    async def upcoming(self, declared: Collection[str], limit: int) -> list[Cron]:
        """See `CronStore`."""
        wanted = [cron for cron in self._crons.values() if not cron.declared or cron.cron_id in declared]
        return sorted((cron for cron in wanted if cron.due is not None), key=_due)[:limit]

    async def forget_declared(self, besides: Collection[str], before: datetime) -> None:
        """See `CronStore`: none outlives the pod, and so none is in no pod's spec."""


def _due(cron: Cron) -> datetime:
    assert cron.due is not None  # noqa: S101 - only those are sorted
    return cron.due

"""Writes the statuses of policies, backups and restores, and Events about what is new in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from apm_operator import conditions as c
from apm_operator.kinds import BY_KIND
from apm_operator.reconcile import status

if TYPE_CHECKING:
    from apm_operator.kube import Kube
    from apm_operator.queue import Key
    from apm_operator.reconcile.cache import Cache
    from apm_operator.reconcile.entry import Entry
    from apm_operator.reconcile.events import Events

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Teller:
    """Writes a status only where anything in it is new."""

    kube: Kube
    cache: Cache
    events: Events

    async def tell(self, key: Key, entry: Entry, wanted: Mapping[str, Any]) -> int:
        """Write the status if it differs, and an Event if the reason of its Ready condition is new.

        Returns:
            The number of status writes: 0 or 1.

        Raises:
            ApiError: the API server refused.
        """
        record = entry.agent
        if record is None:
            return 0
        before = record.status
        if not (changed := status.patch(before, wanted)):
            return 0
        with self.cache.echoes.writing():
            answer = await self.kube.patch_status(BY_KIND[key.kind], key.namespace, key.name, changed)
            self.cache.record_status(key, answer)
        ready = next((each for each in wanted.get("conditions") or () if each["type"] == c.READY), None)
        was = c.reason(before.get("conditions") or ())
        if ready is not None and ready["reason"] != was:
            _log.info(ready["message"], generation=record.generation, reason=ready["reason"], before=was)
            if ready["reason"] not in c.QUIET_REASONS:
                await self.events.tell(key, record.uid, ready["reason"], ready["message"])
        return 1

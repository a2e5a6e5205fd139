"""Collection `crons`."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pymongo import ASCENDING

from agent_runtime.crons.cron import Cron
from agent_runtime.state.connection import answering
from agent_runtime.state.mongo.documents import Documents

if TYPE_CHECKING:
    from collections.abc import Collection

_CRONS = "crons"
_EVER = datetime(1970, 1, 1, tzinfo=UTC)
_AS_TEXT = ("request", "metadata")
"""Since clients may send keys and numbers that BSON does not take."""


class MongoCrons(Documents):
    """Crons that all pods of the agent share."""

    async def prepare(self) -> None:
        """See `CronStore`."""
        async with answering():
            await self._db[_CRONS].create_index([("agent", ASCENDING), ("due", ASCENDING)])
            await self._db[_CRONS].create_index([("agent", ASCENDING), ("owner", ASCENDING)])

    async def add(self, cron: Cron) -> bool:
        """See `CronStore`."""
        return await self._insert(_CRONS, {"_id": self._key(cron.cron_id), **self._document(cron)})

    async def get(self, cron_id: str) -> Cron | None:
        """See `CronStore`."""
        async with answering():
            found = await self._db[_CRONS].find_one({"_id": self._key(cron_id)})
        return _cron(found) if found else None

    async def of(self, owner: str) -> list[Cron]:
        """See `CronStore`."""
        async with answering():
            found = self._db[_CRONS].find({"agent": self._agent, "owner": owner, "declared": False})
            return [_cron(document) async for document in found]

    async def change(self, cron: Cron) -> Cron | None:
        """See `CronStore`."""
        changed = replace(cron, revision=cron.revision + 1)
        async with answering():
            known = {"_id": self._key(cron.cron_id), "revision": cron.revision}
            result = await self._db[_CRONS].update_one(known, {"$set": self._document(changed)})
        return changed if result.matched_count else None

    async def remove(self, cron_id: str) -> bool:
        """See `CronStore`."""
        async with answering():
            return bool((await self._db[_CRONS].delete_one({"_id": self._key(cron_id)})).deleted_count)

    async def upcoming(self, declared: Collection[str], limit: int) -> list[Cron]:
        """See `CronStore`."""
        mine = [{"declared": False}, {"cron_id": {"$in": list(declared)}}]
        wanted = {"agent": self._agent, "due": {"$gt": _EVER}, "$or": mine}
        async with answering():
            found = self._db[_CRONS].find(wanted, sort=[("due", ASCENDING)], limit=limit)
            return [_cron(document) async for document in found]

    async def forget_declared(self, besides: Collection[str], before: datetime) -> None:
        """See `CronStore`."""
        others = {"declared": True, "cron_id": {"$nin": list(besides)}}
        async with answering():
            await self._db[_CRONS].delete_many({"agent": self._agent, "due": {"$lt": before}, **others})

    def _document(self, cron: Cron) -> dict[str, Any]:
        fields = cron.fields
        texts = {name: json.dumps(fields[name]) for name in _AS_TEXT}
        return {**fields, **texts, "agent": self._agent, "owner": cron.owner}


def _cron(document: dict[str, Any]) -> Cron:
    fields = {name: document[name] for name in Cron.__dataclass_fields__ if name in document}
    # Crons that were made before claims were left out have them until they are changed.
    fields["caller"] = {name: value for name, value in fields["caller"].items() if name != "claims"}
    return Cron(**{**fields, **{name: json.loads(fields[name]) for name in _AS_TEXT}})

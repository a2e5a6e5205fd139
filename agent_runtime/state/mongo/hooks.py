"""Collection `webhooks`: what is to be sent when runs have ended."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import orjson
from pymongo import ASCENDING

from agent_runtime.errors import UnreadableError
from agent_runtime.state.connection import answering
from agent_runtime.state.mongo.documents import Documents
from agent_runtime.state.records import Hook

if TYPE_CHECKING:
    from datetime import datetime

HOOKS = "webhooks"
_UNREADABLE = timedelta(minutes=10)
"""How long one that can't be read is left alone."""


class Hooks(Documents):
    """Keeps webhooks until they are sent."""

    async def _prepare_hooks(self) -> None:
        async with answering():
            await self._db[HOOKS].create_index([("agent", ASCENDING), ("due", ASCENDING)])

    async def add_hook(self, hook: Hook) -> None:
        # As text, since state may have keys and numbers that BSON does not take.
        name = self._key(hook.hook_id)
        body = self._vault.close(orjson.dumps(hook.body).decode(), f"{name}|body")
        await self._insert(HOOKS, {"_id": name, "agent": self._agent, **asdict(hook), "body": body})

    async def due_hooks(self, moment: datetime, limit: int) -> list[Hook]:
        wanted = {"agent": self._agent, "due": {"$lte": moment}}
        async with answering():
            found = self._db[HOOKS].find(wanted, sort=[("due", ASCENDING)], limit=limit)
            return [hook async for document in found if (hook := await self._readable(document, moment))]

    async def take_hook(self, hook: Hook, until: datetime) -> Hook | None:
        taken = replace(hook, due=until, attempt=hook.attempt + 1)
        async with answering():
            wanted = {"_id": self._key(hook.hook_id), "attempt": hook.attempt}
            changes = {"$set": {"due": taken.due, "attempt": taken.attempt}}
            result = await self._db[HOOKS].update_one(wanted, changes)
            return taken if result.matched_count else None

    async def remove_hook(self, hook: Hook) -> None:
        async with answering():
            await self._db[HOOKS].delete_one({"_id": self._key(hook.hook_id)})

    async def _readable(self, document: dict[str, Any], moment: datetime) -> Hook | None:
        """None where it can't be read now: then it leaves its place to others for some time."""
        try:
            return self._hook(document)
        except UnreadableError:
            later = {"$set": {"due": moment + _UNREADABLE}}
            await self._db[HOOKS].update_one({"_id": document["_id"], "due": document["due"]}, later)
            return None

    def _hook(self, document: dict[str, Any]) -> Hook:
        fields = {name: document[name] for name in Hook.__dataclass_fields__ if name != "body"}
        body = self._vault.open_object(document.get("body"), f"{document['_id']}|body")
        return Hook(**fields, body=body)

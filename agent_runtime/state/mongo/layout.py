"""Collection `layouts`: of which agents is known that no older release works on their state any more.

Releases that kept checkpoints in `checkpoints` and leases in `leases` see neither this one's leases nor its
checkpoints: beside their pods a thread could run twice.
"""

from __future__ import annotations

import asyncio
from typing import Any

from agent_runtime.errors import InputError, UnavailableError
from agent_runtime.state.connection import answering
from agent_runtime.state.mongo.documents import Documents

_LAYOUTS = "layouts"
_CURRENT = 2
_BEAT = 6.0
"""Seconds in which a living pod of an older release renews its leases at least once."""


class Layout(Documents):
    """Keeps pods from working on what an older release may still work on."""

    async def check(self) -> None:
        """Returns if nothing of an older release is left to take over.

        Raises:
            UnavailableError: There is, and nobody has said that its pods are gone; says what to do.
        """
        async with answering():
            if await self._db[_LAYOUTS].find_one({"_id": self._agent}) or not await self._old():
                return
        raise UnavailableError(
            "an older release kept this agent's threads, and its pods may not run beside this one: scale the agent to "
            "0, wait until no pod is left, scale it up again, and run `python -m agent_runtime migrate` in a new pod"
        )

    async def refuse_pods(self) -> None:
        """Returns if no pod of an older release executes a run.

        Raises:
            InputError: One does.
        """
        before = await self._leases()
        if not before:
            return
        await asyncio.sleep(_BEAT)
        after = await self._leases()
        if any(after[name] != before.get(name) for name in after):
            raise InputError("pods of an older release execute runs of this agent: scale it to 0, and up again")

    async def settle(self) -> None:
        """Notes that all of it was taken over."""
        async with answering():
            await self._db["leases"].delete_many({"_id": self._range})
            await self._db[_LAYOUTS].replace_one({"_id": self._agent}, {"version": _CURRENT}, upsert=True)

    @property
    def _range(self) -> dict[str, str]:
        # `0` follows `/`.
        return {"$gt": f"{self._agent}/", "$lt": f"{self._agent}0"}

    async def _old(self) -> bool:
        for collection, field in (("checkpoints", "thread_id"), ("leases", "_id")):
            if await self._db[collection].find_one({field: self._range}, {"_id": 1}):
                return True
        return False

    async def _leases(self) -> dict[str, Any]:
        async with answering():
            found = self._db["leases"].find({"_id": self._range}, {"beat": 1})
            return {document["_id"]: document.get("beat") async for document in found}

"""Where replicas share the states of breakers."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pymongo import ReturnDocument

from agent_runtime.resilience.breaker import CircuitState
from agent_runtime.resilience.breakers import SharedState

if TYPE_CHECKING:
    from agent_runtime.resilience.documents import Documents
    from agent_runtime.resilience.redis_connection import RedisConnection

_ANEW = {"$set": {"failures": 0}}


class RedisBreakers:
    """In Redis, under names that begin with `scope`."""

    def __init__(self, connection: RedisConnection, scope: str) -> None:
        self._connection = connection
        self._prefix = f"apm:{{{scope}}}:breaker:"

    async def read(self, name: str) -> SharedState | None:
        """As `BreakerStore`."""
        async with self._connection.client() as client:
            found, failures = await client.mget(self._prefix + name, self._failures(name))
        text = found.decode() if isinstance(found, bytes) else found or CircuitState.CLOSED.value
        state, _, mark = text.partition(" ")
        return SharedState(CircuitState(state), mark, int(failures or 0))

    async def write(self, name: str, shared: SharedState, life: float) -> None:
        """As `BreakerStore`."""
        async with self._connection.client() as client:
            await client.set(self._prefix + name, f"{shared.state} {shared.mark}", ex=max(1, round(life)))
            await client.delete(self._failures(name))

    async def count(self, name: str, life: float) -> int:
        """As `BreakerStore`."""
        async with self._connection.client() as client:
            count = await client.incr(self._failures(name))
            await client.expire(self._failures(name), max(1, round(life)))
        return int(count)

    async def forget(self, name: str) -> None:
        """As `BreakerStore`."""
        async with self._connection.client() as client:
            await client.delete(self._failures(name))

    def _failures(self, name: str) -> str:
        return f"{self._prefix}{name}:failures"


class MongoBreakers:
    """In the collection `breakers`, a document for each."""

    def __init__(self, documents: Documents, agent: str) -> None:
        self._documents = documents
        self._agent = agent

    async def read(self, name: str) -> SharedState | None:
        """As `BreakerStore`."""
        found = await self._documents.database["breakers"].find_one({"_id": f"{self._agent}/{name}"})
        if found is None:
            return None
        state = CircuitState(found.get("state", CircuitState.CLOSED))
        return SharedState(state, found.get("mark", ""), found.get("failures", 0))

    async def write(self, name: str, shared: SharedState, life: float) -> None:  # noqa: ARG002 - one document each
        """As `BreakerStore`."""
        document = {
            "agent": self._agent,
            "state": shared.state.value,
            "mark": shared.mark,
            "changed_at": datetime.now(UTC),
        }
        await self._documents.database["breakers"].replace_one({"_id": f"{self._agent}/{name}"}, document, upsert=True)

    async def count(self, name: str, life: float) -> int:
        """As `BreakerStore`."""
        breakers, document = self._documents.database["breakers"], {"_id": f"{self._agent}/{name}"}
        moment = datetime.now(UTC)
        # Those that are older are none in a row with this one.
        await breakers.update_one({**document, "failed_at": {"$lt": moment - timedelta(seconds=life)}}, _ANEW)
        counted = {"$inc": {"failures": 1}, "$set": {"agent": self._agent, "failed_at": moment}}
        found = await breakers.find_one_and_update(
            document, counted, projection={"failures": 1}, upsert=True, return_document=ReturnDocument.AFTER
        )
        return int(found["failures"]) if found else 1

    async def forget(self, name: str) -> None:
        """As `BreakerStore`."""
        await self._documents.database["breakers"].update_one({"_id": f"{self._agent}/{name}"}, _ANEW)

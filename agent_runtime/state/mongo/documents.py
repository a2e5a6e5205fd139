from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_runtime.state.batch import Change, Changes
from agent_runtime.state.mongo.batches import Inserts
from agent_runtime.state.vault import Vault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pymongo.asynchronous.collection import AsyncCollection
    from pymongo.asynchronous.database import AsyncDatabase

    from agent_runtime.state.connection import MongoConnection


class Documents:
    """An agent's documents in a database that several agents share: the agent's key begins each `_id`."""

    def __init__(self, connection: MongoConnection, agent: str) -> None:
        """`agent` is `namespace/name`."""
        self._connection = connection
        self._agent = agent
        self._vault = Vault()
        self._inserts: dict[str, Inserts] = {}
        self._changes: dict[str, Changes] = {}

    @property
    def _db(self) -> AsyncDatabase[dict[str, Any]]:
        return self._connection.database

    def _key(self, identifier: str) -> str:
        return f"{self._agent}/{identifier}"

    def _named(self, collection: str) -> Callable[[], AsyncCollection[dict[str, Any]]]:
        return lambda: self._db[collection]

    async def _insert(self, collection: str, document: Mapping[str, Any], unique: str = "") -> bool:
        """Whether the document was added, as `Inserts.add` tells."""
        if collection not in self._inserts:
            self._inserts[collection] = Inserts(self._named(collection))
        return await self._inserts[collection].add(document, unique)

    async def _change(self, collection: str, wanted: Mapping[str, Any], update: Mapping[str, Any]) -> bool | None:
        """Whether a document's update was made, which may go with others; None if only the document tells."""
        if collection not in self._changes:
            self._changes[collection] = Changes(self._named(collection))
        return await self._changes[collection].apply(Change(wanted, update, 0))

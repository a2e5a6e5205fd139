"""Which vector index is made depends on what the server knows."""

from typing import Any

import pytest
from pymongo.errors import OperationFailure

from agent_runtime.integrations.knowledge.store import PassageStore


class Server:
    """A database that knows some commands, in place of servers that are not at hand."""

    def __init__(self, *known: str) -> None:
        self.known = known
        self.made: list[dict[str, Any]] = []

    @property
    def database(self) -> "Server":
        return self

    def __getitem__(self, name: str) -> "Server":
        self.name = name
        return self

    async def command(self, command: dict[str, Any]) -> None:
        if next(iter(command)) not in self.known:
            raise OperationFailure("no such command", 59)
        self.made.append(command)


@pytest.mark.parametrize(
    ("known", "dimensions", "index"),
    [
        (("createIndexes", "createSearchIndexes"), 1024, "cosmosSearch"),
        (("createIndexes", "createSearchIndexes"), 3072, "vectorSearch"),
        (("createSearchIndexes",), 1024, "vectorSearch"),
        ((), 1024, "none"),
    ],
)
async def test_the_first_kind_that_the_server_takes(known, dimensions, index):
    server = Server(*known)
    assert await PassageStore(server, "shop/one")._make_index(dimensions) == index
    if index != "none":
        (made,) = server.made
        assert (made["indexes"][0]["name"], str(dimensions) in str(made)) == ("apm_vector", True)
        assert "knowledge_shop_one" in made.values()

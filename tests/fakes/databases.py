from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agent_runtime.state.connection import MongoConnection


@asynccontextmanager
async def database(uri: str) -> AsyncIterator[MongoConnection]:
    """A connection to a database of the test's own, which is dropped at the end."""
    connection = MongoConnection(lambda: uri, f"test_{secrets.token_hex(6)}")
    try:
        yield connection
    finally:
        await connection.database.client.drop_database(connection.name)
        await connection.close()

"""The agent's connection to MongoDB, which everything that keeps state there shares."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError

from agent_runtime.errors import UnavailableError
from agent_runtime.state.metrics import StateMetrics
from agent_runtime.state.trouble import readable, reason

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    from pymongo.asynchronous.database import AsyncDatabase

    from agent_runtime.spec.state import MongoDBTLSSpec

_PATIENCE = 2.0
_SOCKET_TIMEOUT_MS = 10_000


class MongoConnection:
    """One client for a database, made at first use.

    `uri` and `tls` are asked for when a client is made; both may raise UnavailableError.
    """

    def __init__(
        self,
        uri: Callable[[], str],
        database: str,
        tls: Callable[[], Mapping[str, Any]] = dict,
        metrics: StateMetrics | None = None,
    ) -> None:
        self._uri = uri
        self._tls = tls
        self._database = database
        self.metrics = metrics or StateMetrics()
        self.patience = _PATIENCE
        """Seconds in which a server has to be found; counts for clients that are made later."""
        self._client: AsyncMongoClient[dict[str, Any]] | None = None

    @property
    def database(self) -> AsyncDatabase[dict[str, Any]]:
        """The database; made without a word to the server.

        Raises:
            UnavailableError: The connection string or the certificates can't be used.
        """
        if self._client is None:
            with readable():
                self._client = AsyncMongoClient(**self.arguments(), tz_aware=True)
        return self._client[self._database]

    @property
    def name(self) -> str:
        """The database's name."""
        return self._database

    def arguments(self) -> dict[str, Any]:
        """What a client is made with; for one that lives in a thread of its own. Raises UnavailableError."""
        milliseconds = int(self.patience * 1000)
        return {
            "host": self._uri(),
            "serverSelectionTimeoutMS": milliseconds,
            "connectTimeoutMS": milliseconds,
            "socketTimeoutMS": _SOCKET_TIMEOUT_MS,
            "appname": "apm-agent",
            "event_listeners": [self.metrics],
            **self._tls(),
        }

    async def measure(self) -> None:
        """Tells the metrics how large the database is, and how full its disk.

        Raises:
            UnavailableError: MongoDB can't be used, or does not let the user ask.
        """
        async with answering():
            found = await self.database.command("dbStats")
        self.metrics.data.set(found.get("dataSize", 0))
        if "fsTotalSize" in found:
            self.metrics.filesystem_used.set(found["fsUsedSize"])
            self.metrics.filesystem_size.set(found["fsTotalSize"])

    async def close(self) -> None:
        """Gives up the connections."""
        if self._client is not None:
            await self._client.close()


@asynccontextmanager
async def answering() -> AsyncIterator[None]:
    """Turns the driver's errors into an UnavailableError that names no address and no credentials."""
    try:
        yield
    except PyMongoError as error:
        raise UnavailableError(f"MongoDB can't be used: {reason(error)}") from error


def tls_options(spec: MongoDBTLSSpec, secrets_dir: Path) -> dict[str, Any]:
    """The driver's options for `state.mongodb.tls`.

    Raises:
        UnavailableError: A Secret that it names has no such key.
    """
    files = {"tlsCAFile": spec.ca_secret_ref, "tlsCertificateKeyFile": spec.client_certificate_secret_ref}
    # Said once more, since the connection string may say otherwise.
    options: dict[str, Any] = {"tls": True, "tlsAllowInvalidCertificates": False, "tlsAllowInvalidHostnames": False}
    for option, ref in files.items():
        if ref is not None:
            path = ref.path(secrets_dir)
            if not path.is_file():
                raise UnavailableError(f"Secret {ref.name} has no value for the key {ref.key}: set it")
            options[option] = str(path)
    return options

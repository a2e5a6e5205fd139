"""What is needed of the agent's MongoDB."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pymongo.asynchronous.database import AsyncDatabase


class Documents(Protocol):
    """A database, such as `MongoConnection` has."""

    @property
    def database(self) -> AsyncDatabase[dict[str, Any]]:
        """The database.

        Raises:
            UnavailableError: The connection string or the certificates can't be used.
        """

from __future__ import annotations

from typing import TYPE_CHECKING

from redis.credentials import CredentialProvider

if TYPE_CHECKING:
    from collections.abc import Callable


class Password(CredentialProvider):
    """Reads the password at each new connection, so that a rotated one counts."""

    def __init__(self, read: Callable[[], str]) -> None:
        self._read = read

    def get_credentials(self) -> tuple[str]:
        """As redis-py asks for it."""
        return (self._read(),)

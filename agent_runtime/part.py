"""What works in the background of an agent, beside its runs."""

from __future__ import annotations

from typing import Protocol


class Part(Protocol):
    """Begins when the state is there, and ends before the connections do."""

    async def prepare(self) -> None:
        """Makes what has to be in the state, such as indexes; called again if it fails.

        Raises:
            UnavailableError: The state can't be reached.
        """

    def start(self) -> None:
        """Begins to work."""

    @property
    def healthy(self) -> bool:
        """Whether it works; what is not healthy is mended by a new process."""

    def drain(self) -> None:
        """Takes no new work; the process is about to end."""

    async def close(self) -> None:
        """Ends, within a few seconds."""

"""A part of the agent that is one loop in the background."""

from __future__ import annotations

import asyncio


class Background:
    """Begins and ends the loop, which goes on while the pod drains; a part says in `_go` what the loop does."""

    _task: asyncio.Task[None] | None = None

    async def prepare(self) -> None:
        """Nothing to make."""

    def start(self) -> None:
        """Begins the loop."""
        self._task = asyncio.create_task(self._go())

    @property
    def healthy(self) -> bool:
        """Whether the loop goes on."""
        return self._task is None or not self._task.done()

    def drain(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        """Ends the loop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _go(self) -> None:
        raise NotImplementedError

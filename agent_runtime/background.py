"""What goes on in the background, and how it ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection


class Background:
    """A part of the agent that is one loop, which goes on while the pod drains; `_go` says what the loop does."""

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


async def finish(tasks: Collection[asyncio.Task[Any]], seconds: float) -> None:
    """Lets tasks end by themselves for some time, and ends those that have not; what they raise is nobody's."""
    if tasks:
        await asyncio.wait(tasks, timeout=seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

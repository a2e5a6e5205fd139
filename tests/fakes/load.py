"""Clients that make runs of `fakes.steps` at several processes, and what became of these."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid4

import httpx

from fakes.marks import Course, marks

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncIterator
    from pathlib import Path

    from fakes.replicas import Fleet


@dataclass
class Load:
    """Clients that make runs, one after the other, until they are told to stop."""

    fleet: Fleet
    chance: random.Random
    folder: Path
    """Where each run's nodes tell what they do, in a file named by the thread."""
    accepted: list[tuple[str, str]] = field(default_factory=list)
    """Threads and runs."""
    stopping: bool = False

    @asynccontextmanager
    async def by(self, clients: int) -> AsyncIterator[None]:
        """So many clients are at work inside."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(clients):
                tasks.create_task(self._client())
            try:
                yield
            finally:
                self.stopping = True

    async def ended(self, seconds: float) -> list[Course]:
        """Waits until all runs have ended well; how each one went on."""
        client = self.fleet[0].client
        async with asyncio.timeout(seconds):
            for thread, run_id in self.accepted:
                values = await client.runs.join(thread, run_id)
                assert values["done"] == ["one", "two", "three"], (thread, run_id, values)
                assert [run["status"] for run in await client.runs.list(thread)] == ["success"]
        return [Course(marks(self.folder / thread)) for thread, _ in self.accepted]

    async def _client(self) -> None:
        while not self.stopping:
            thread, key = str(uuid4()), str(uuid4())
            while (run_id := await self._make(thread, key)) is None:  # noqa: ASYNC110 - until a process answers
                await asyncio.sleep(0.05)
            self.accepted.append((thread, run_id))
            await asyncio.sleep(self.chance.uniform(0.05, 0.3))

    async def _make(self, thread: str, key: str) -> str | None:
        """The run, at any process; None where that fails: then another one is asked, with the same key."""
        client = self.chance.choice(self.fleet).client
        given = {"done": [], "pause": self.chance.uniform(0, 0.3), "file": str(self.folder / thread)}
        try:
            made = await client.runs.create(
                thread, "agent", input=given, if_not_exists="create", headers={"Idempotency-Key": key}
            )
        except httpx.HTTPError:
            return None
        return made["run_id"]

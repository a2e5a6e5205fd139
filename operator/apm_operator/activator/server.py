"""The activator's process: listens until a signal, and then lets what is open end."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from contextlib import AsyncExitStack
from functools import partial

from apm_operator.activator import status
from apm_operator.activator.counts import Counts
from apm_operator.activator.relay import Relay
from apm_operator.activator.settings import ANYWHERE, Settings
from apm_operator.activator.upstream import CHUNK, Stream, Upstream

_BACKLOG = 256


class Activator:
    """Listens, and has each connection passed on, as many as there may be."""

    def __init__(self, settings: Settings, counts: Counts) -> None:
        self._settings = settings
        self._counts = counts
        self._relay = Relay(Upstream(settings.host, settings.upstream_port), counts, settings)
        self._tasks: set[asyncio.Task[None]] = set()
        self._addresses: Counter[str] = Counter()

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until `stop`, and then as long as what is open takes, within the time for that."""
        settings = self._settings
        async with AsyncExitStack() as stack:
            asked = await status.listen(self._counts, settings.status_port)
            stack.callback(asked.close)
            doors = await asyncio.start_server(self._accept, ANYWHERE, settings.port, limit=CHUNK, backlog=_BACKLOG)
            stack.callback(doors.close)
            say("started", port=settings.port, upstream=settings.host)
            await stop.wait()
            say("stopping", connections=len(self._tasks))
            await asyncio.sleep(settings.linger)
            doors.close()
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=settings.drain)
            say("stopped", cut=len(self._tasks))

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Half of the places are out of reach of any one client, however many connections it begins.
        address = (writer.get_extra_info("peername") or ("",))[0]
        if len(self._tasks) >= self._settings.most or self._addresses[address] >= max(1, self._settings.most // 2):
            self._counts.ended("full")
            writer.transport.abort()
            return
        self._addresses[address] += 1
        task = asyncio.create_task(self._relay.serve(Stream(reader, writer)))
        self._tasks.add(task)
        task.add_done_callback(partial(self._done, address))

    def _done(self, address: str, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._addresses -= Counter((address,))  # drops who has none left
        if not task.cancelled() and (error := task.exception()) is not None:
            say("a connection broke", error=repr(error))


def say(event: str, **about: object) -> None:
    """One line of the log, as JSON."""
    sys.stderr.write(json.dumps({"event": event, **about}) + "\n")

"""Signs of life of the watches, and what they need not tell.

kopf opens the watches and reopens one that ended or was silent for 70 s, but shows neither bookmarks nor silence.
Its session is ours, so the bytes of each watch pass through here.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

import aiohttp

from apm_operator import metrics
from apm_operator.echoes import Echoes
from apm_operator.kinds import Resource

_HTTP_OK = 200


class WatchMonitor:
    """Knows when each watch last gave a sign of life: was opened, or sent an event or a bookmark."""

    def __init__(
        self, expected: Iterable[tuple[Resource, str | None]], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._started = clock()
        self._names = {resource.path(namespace): (resource.plural, namespace or "") for resource, namespace in expected}
        self._seen: dict[str, float] = {}

    def seen(self, path: str) -> None:
        """The watch of a collection's path gave a sign of life."""
        if path in self._names:
            self._seen[path] = self._clock()

    def all_open(self) -> bool:
        """Whether every watch has been opened at least once."""
        return len(self._seen) == len(self._names)

    def ages(self) -> dict[tuple[str, str], float]:
        """Seconds since the last sign of life of each (plural, namespace); since the start where there was none."""
        now = self._clock()
        return {name: now - self._seen.get(path, self._started) for path, name in self._names.items()}

    def export(self) -> None:
        """Write the ages to the metrics."""
        for (plural, namespace), age in self.ages().items():
            metrics.WATCH_AGE.labels(plural, namespace).set(age)

    def response_class(self, echoes: Echoes) -> type[aiohttp.ClientResponse]:
        """A response class for kopf's session that tells this monitor of every chunk a watch receives.

        Echoes of our own writes don't reach kopf.
        """
        monitor = self

        class WatchedResponse(aiohttp.ClientResponse):
            async def start(self, connection: Any) -> aiohttp.ClientResponse:
                await super().start(connection)
                if self.url.query.get("watch") == "true" and self.status == _HTTP_OK:
                    monitor.seen(self.url.path)
                    self.content = WatchedContent(self.content, monitor, echoes, self.url.path)  # type: ignore[assignment]
                return self

        return WatchedResponse


class WatchedContent:
    """Stands for a response's stream: notes each chunk, and hands on what is no echo."""

    def __init__(self, content: aiohttp.StreamReader, monitor: WatchMonitor, echoes: Echoes, path: str) -> None:
        self._content = content
        self._monitor = monitor
        self._echoes = echoes
        self._path = path

    def __getattr__(self, name: str) -> Any:
        return getattr(self._content, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        """Whole lines, as they come."""
        part = b""
        async for chunk in self._content.iter_chunked(size):
            self._monitor.seen(self._path)
            await self._echoes.answers()
            *lines, part = (part + chunk).split(b"\n")
            kept = [line for line in lines if not self._echoes.take(line)]
            if kept:
                yield b"\n".join((*kept, b""))
        if part:
            yield part

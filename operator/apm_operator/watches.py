"""The bytes of the watches: their signs of life, and their events; and what is listed before them.

kopf opens the watches and reopens one that ended or was silent for 70 s, but shows neither bookmarks nor silence.
Its session is ours, so the bytes of each watch pass through here.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, TypeVar

import aiohttp
import structlog

from apm_operator import metrics
from apm_operator.echoes import Echoes
from apm_operator.kinds import Resource

_HTTP_OK = 200
_OF_OBJECTS = (b'{"type":"ADDED"', b'{"type":"MODIFIED"', b'{"type":"DELETED"')

Told = TypeVar("Told")

_log = structlog.stdlib.get_logger(__name__)


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
        if self.knows(path):
            self._seen[path] = self._clock()

    def knows(self, path: str) -> bool:
        """Whether a path is that of a collection that is watched."""
        return path in self._names

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

    def response_class(
        self, echoes: Echoes, observe: Callable[[Mapping[str, Any]], None]
    ) -> type[aiohttp.ClientResponse]:
        """A response class for kopf's session, whose watches tell this monitor of every chunk.

        Args:
            echoes: what need not be told.
            observe: takes in all other events of objects, and all that is listed. kopf, which would keep a queue and a
                task for each object at 1 ms of CPU per event, gets only what it watches by: versions, bookmarks and
                errors.
        """
        monitor = self

        class WatchedResponse(aiohttp.ClientResponse):
            async def start(self, connection: Any) -> aiohttp.ClientResponse:
                await super().start(connection)
                if self.url.query.get("watch") == "true" and self.status == _HTTP_OK:
                    monitor.seen(self.url.path)
                    events = Events(self.content, lambda: monitor.seen(self.url.path), echoes, observe)
                    self.content = events  # type: ignore[assignment]
                return self

            async def json(self, **options: Any) -> Any:
                answer = await super().json(**options)
                if monitor.knows(self.url.path) and self.status == _HTTP_OK:
                    for item in answer.pop("items", None) or ():
                        item["kind"] = answer["kind"].removesuffix("List")  # lists leave it out
                        _hand(observe, {"type": "ADDED", "object": item})
                return answer

        return WatchedResponse


class Events:
    """Stands for the stream of a watch's response: takes the events of objects out of it."""

    def __init__(
        self,
        content: aiohttp.StreamReader,
        seen: Callable[[], None],
        echoes: Echoes,
        observe: Callable[[Mapping[str, Any]], None],
    ) -> None:
        self._content = content
        self._seen = seen
        self._echoes = echoes
        self._observe = observe

    def __getattr__(self, name: str) -> Any:
        return getattr(self._content, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        """The other lines, whole, as they come."""
        part = b""
        async for chunk in self._content.iter_chunked(size):
            self._seen()
            await self._echoes.answers()
            *lines, part = (part + chunk).split(b"\n")
            if others := [line for line in lines if not self._take(line)]:
                yield b"\n".join((*others, b""))
        if part:
            yield part

    def _take(self, line: bytes) -> bool:
        if not line.startswith(_OF_OBJECTS):
            return False
        if not self._echoes.take(line):
            _hand(lambda event: self._observe(json.loads(event)), line)
        return True


def _hand(observe: Callable[[Told], None], event: Told) -> None:
    try:
        observe(event)
    except Exception:  # noqa: BLE001  one object that can't be read must not end the watch of the others
        _log.exception("A watch event was not understood")

"""Reads and writes of many documents in few commands."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, cast

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from agent_runtime.errors import UnavailableError
from agent_runtime.state.connection import answering

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pymongo.asynchronous.collection import AsyncCollection

_MOST = 50
"""Of more, the next command takes the rest: else all who ask fall into step, and we and the server take turns."""
_LARGEST = 1 << 20
DUPLICATE_KEY = 11000
"""The server's code for a document that is there already."""

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


class Change(NamedTuple):
    """A conditional update of one document; with `new` one that is not there is made."""

    wanted: Mapping[str, Any]
    update: Mapping[str, Any]
    size: int
    new: bool = False


class Lanes(ABC, Generic[Asked, Answer]):
    """Answers together what is asked while others are being answered.

    `lanes` is how many commands are under way at a time: while they are, what comes gathers for the next one.
    """

    def __init__(self, collection: Callable[[], AsyncCollection[dict[str, Any]]], lanes: int = 1) -> None:
        self._collection = collection
        self._most_lanes = lanes
        self._queue: deque[tuple[Asked, int, asyncio.Future[Answer]]] = deque()
        self._lanes: set[asyncio.Task[None]] = set()

    async def _ask(self, asked: Asked, size: int = 0) -> Answer:
        done: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._queue.append((asked, size, done))
        if len(self._lanes) < self._most_lanes:
            self._lanes.add(asyncio.create_task(self._run()))
        return await done

    @abstractmethod
    async def _send(self, asked: list[Asked]) -> Sequence[Answer | Exception]:
        """The answers, in the same order."""

    async def _run(self) -> None:
        while batch := self._next():
            results = await self._answers([asked for asked, _, _ in batch])
            for (_, _, done), result in zip(batch, results, strict=True):
                if done.done():
                    continue
                if isinstance(result, Exception):
                    done.set_exception(result)
                else:
                    done.set_result(result)
        # At once: who was answered may ask again before this task's callbacks are called.
        self._lanes.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _answers(self, asked: list[Asked]) -> Sequence[Answer | Exception]:
        try:
            return await self._send(asked)
        except UnavailableError as error:
            # Each gets one of its own: a traceback that many tasks extend grows with each.
            return [UnavailableError(str(error)) for _ in asked]
        except Exception as error:  # noqa: BLE001 - handed to those who wait
            if len(asked) == 1:
                return [error]
        # One of them can't be encoded, of which the server has seen nothing: the others are not to suffer by that.
        return [answer for one in asked for answer in await self._answers([one])]

    def _next(self) -> list[tuple[Asked, int, asyncio.Future[Answer]]]:
        taken: list[tuple[Asked, int, asyncio.Future[Answer]]] = []
        size = 0
        while self._queue and len(taken) < _MOST and (not taken or size + self._queue[0][1] <= _LARGEST):
            taken.append(self._queue.popleft())
            size += taken[-1][1]
        taken.sort(key=lambda one: self._place(one[0]))
        return taken

    def _place(self, asked: Asked) -> str:  # noqa: ARG002 - for those that write
        """In which order a command locks documents.

        Where it locks all that it writes until its end, as FerretDB's does, two of different orders could each wait for
        what the other has locked, and the server would refuse one of them its writes.
        """
        return ""


class Changes(Lanes[Change, bool | None]):
    """Makes changes, those that come at a time in one command.

    Changes of one command are independent of each other. Who changes a document twice waits in between.
    """

    async def apply(self, change: Change) -> bool | None:
        """Whether the change was made; None if that is not known: then the document tells.

        Raises:
            UnavailableError: MongoDB can't be used; the change may have been made.
        """
        return await self._ask(change, change.size)

    def _place(self, asked: Change) -> str:
        return str(asked.wanted.get("_id", ""))

    async def _send(self, asked: list[Change]) -> list[bool | Exception | None]:
        updates = [UpdateOne(change.wanted, change.update, upsert=change.new) for change in asked]
        results: list[bool | Exception | None] = [True] * len(asked)
        told: Mapping[str, Any]
        try:
            async with answering():
                told = (await self._collection().bulk_write(updates, ordered=False)).bulk_api_result
        except UnavailableError as error:
            if not isinstance(error.__cause__, BulkWriteError):
                raise
            told = error.__cause__.details or {}
            for failed in told.get("writeErrors", ()):
                refused = failed.get("code") == DUPLICATE_KEY
                results[failed["index"]] = False if refused else failure(failed)
        made = told.get("nMatched", 0) + told.get("nUpserted", 0)
        if made == sum(result is True for result in results):
            return results
        # The server does not tell which ones matched nothing.
        return [(None if made else False) if result is True else result for result in results]


class Reads(Lanes[str, "dict[str, Any] | None"]):
    """Reads documents by their `_id`, those that are asked for at a time by one command."""

    async def get(self, name: str) -> dict[str, Any] | None:
        """The document, if there is one.

        Raises:
            UnavailableError: MongoDB can't be used.
        """
        return await self._ask(name)

    async def _send(self, asked: list[str]) -> list[dict[str, Any] | None]:
        wanted = {"_id": asked[0] if len(asked) == 1 else {"$in": sorted(set(asked))}}
        async with answering():
            found = {document["_id"]: document async for document in self._collection().find(wanted)}
        return [found.get(name) for name in asked]


def failure(told: Mapping[str, Any]) -> UnavailableError:
    """What a write raises that the server refused, as it tells."""
    return UnavailableError(f"MongoDB refused a write (code {told.get('code')})")

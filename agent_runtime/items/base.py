"""How items are kept, whoever's they are."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from langgraph.store.base import (
    BaseStore,
    GetOp,
    Item,
    ListNamespacesOp,
    Op,
    PutOp,
    Result,
    SearchItem,
    SearchOp,
)

from agent_runtime.errors import InputError, WorkflowError
from agent_runtime.spec.size import exceeds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

LARGEST_ITEM = 1 << 20
"""Bytes of one item's value."""
LARGEST_FOUND = 32 << 20
"""Bytes of the values that one search finds."""


class SealedItem(SearchItem):
    """An item whose value can't be read, such as without its key; `unreadable` says why."""

    __slots__ = ("unreadable",)

    def __init__(self, unreadable: str, **fields: Any) -> None:
        super().__init__(**fields, value={})
        self.unreadable = unreadable

    def dict(self) -> dict[str, Any]:
        """As clients get it."""
        return {**super().dict(), "unreadable": self.unreadable}


class Items(BaseStore):
    """LangGraph's store by four operations. Words are not looked up by meaning: `query` and `index` change nothing."""

    supports_ttl = True

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """`loop` does the work for callers in threads; by default the one that asked first."""
        self._loop = loop

    async def prepare(self) -> None:
        """Makes what has to be there before items are kept. Raises UnavailableError."""

    @abstractmethod
    async def fetch(self, asked: GetOp) -> Item | None:
        """One item that has not expired; its life begins anew if that is asked for."""

    @abstractmethod
    async def find(self, asked: SearchOp, *, sealed: bool = False) -> list[SearchItem]:
        """Items below a namespace, those that changed last first.

        With `sealed` also those that can't be read, as `SealedItem`; a filter passes them by.
        """

    @abstractmethod
    async def keep(self, asked: PutOp) -> None:
        """Writes an item, or removes it where its value is None."""

    @abstractmethod
    async def spaces(self, asked: ListNamespacesOp) -> list[tuple[str, ...]]:
        """Namespaces with items."""

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        """The results, in order; of several writes of one item the last one counts."""
        self._loop = self._loop or asyncio.get_running_loop()
        return [await self._do(op) for op in ops]

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """For code of the user's own that does not wait, which LangGraph runs in threads."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            raise WorkflowError("the store was asked in the event loop without waiting: use `await store.aget(...)`")
        if self._loop is None:
            raise WorkflowError("the store was asked before the agent began to work")
        return asyncio.run_coroutine_threadsafe(self.abatch(ops), self._loop).result()

    async def _do(self, op: Op) -> Result:
        match op:
            case GetOp():
                return await self.fetch(op)
            case SearchOp():
                return await self.find(op)
            case PutOp():
                check_value(op.value)
                await self.keep(op)
                return None
            case ListNamespacesOp():
                return await self.spaces(op)
        raise TypeError(f"LangGraph's store has no operation {type(op).__name__}")


def expiry(ttl: float | None, moment: datetime) -> datetime | None:
    """When an item ends that was used at `moment` and lives for `ttl` minutes."""
    return None if ttl is None else moment + timedelta(minutes=ttl)


def check_value(value: Mapping[str, Any] | None) -> None:
    """Raises InputError if an item's value is too large to be kept."""
    if value is not None and exceeds(value, LARGEST_ITEM):
        raise InputError(f"an item can't be larger than {LARGEST_ITEM >> 10} KiB: keep less, or in several items")

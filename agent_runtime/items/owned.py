"""Items as one caller sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from langgraph.store.base import GetOp, Item, ListNamespacesOp, MatchCondition, PutOp, SearchItem, SearchOp

from agent_runtime.errors import WorkflowError
from agent_runtime.items.base import Items

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


Kept = TypeVar("Kept", bound=Item)


class OwnedItems(Items):
    """Puts the owner before each namespace, so that callers can't meet, and takes it away again."""

    def __init__(
        self, kept: Items, owner: Callable[[], str | None], loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        """`owner` tells whose items are meant, at each call."""
        super().__init__(loop)
        self._kept = kept
        self._owner = owner

    async def fetch(self, asked: GetOp) -> Item | None:
        item = await self._kept.fetch(asked._replace(namespace=self._inward(asked.namespace)))
        return _outward(item) if item else None

    async def find(self, asked: SearchOp, *, sealed: bool = False) -> list[SearchItem]:
        inward = asked._replace(namespace_prefix=self._inward(asked.namespace_prefix))
        return [_outward(item) for item in await self._kept.find(inward, sealed=sealed)]

    async def keep(self, asked: PutOp) -> None:
        await self._kept.keep(asked._replace(namespace=self._inward(asked.namespace)))

    async def spaces(self, asked: ListNamespacesOp) -> list[tuple[str, ...]]:
        given = list(asked.match_conditions or ())
        prefixes = [each._replace(path=self._inward(each.path)) for each in given if each.match_type == "prefix"]
        own = MatchCondition("prefix", self._inward(()))
        # The owner's label is no part of a name that a suffix could mean.
        suffixes = [MatchCondition("suffix", each.path) for each in given if each.match_type == "suffix"]
        longest = max((len(each.path) for each in suffixes), default=0)
        depth = asked.max_depth + 1 if asked.max_depth is not None else None
        wide = (own, MatchCondition("prefix", (own.path[0], *("*",) * longest)))
        conditions = (*wide, *prefixes, *suffixes)
        found = await self._kept.spaces(asked._replace(match_conditions=conditions, max_depth=depth))
        return [namespace[1:] for namespace in found]

    def _inward(self, namespace: tuple[str, ...]) -> tuple[str, ...]:
        owner = self._owner()
        if owner is None:
            raise WorkflowError("the store was asked outside of a run, where nobody owns what is kept")
        return (owner, *namespace)


def _outward(item: Kept) -> Kept:
    item.namespace = item.namespace[1:]
    return item

"""Budgets that replicas share, in a real MongoDB."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from agent_runtime.resilience.budget_stores import MongoBudgets
from agent_runtime.resilience.spending import Account, Budget, Spending
from agent_runtime.state.connection import MongoConnection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@pytest.fixture
async def connections(mongodb_uri: str, database: str) -> AsyncIterator[tuple[MongoConnection, MongoConnection]]:
    """Of two replicas."""
    both = MongoConnection(lambda: mongodb_uri, database), MongoConnection(lambda: mongodb_uri, database)
    yield both
    for connection in both:
        await connection.close()


def account(who: str = "", day: str = "2026-11-21", tokens: int = 100, cost: int | None = None) -> Account:
    return Account.of("account", who, Budget(tokens, cost), day)


Both = tuple[MongoConnection, MongoConnection]


async def test_replicas_together_reserve_what_there_is_and_not_one_more(connections: Both):
    stores = [MongoBudgets(connection, "tests/one") for connection in connections]
    done = await asyncio.gather(*(store.reserve(account(), Spending(3, 7)) for _ in range(40) for store in stores))
    assert sum(done) == 33
    assert await stores[0].spent(account()) == Spending(99, 231)


async def test_money_counts_as_tokens_do(connections: Both):
    store = MongoBudgets(connections[0], "tests/one")
    one = account(tokens=1000, cost=10)
    assert [await store.reserve(one, Spending(1, 6)), await store.reserve(one, Spending(1, 6))] == [True, False]
    await store.add(one, Spending(0, -5))
    assert await store.reserve(one, Spending(1, 6))
    assert await store.spent(one) == Spending(2, 7)


async def test_too_large_an_amount_is_refused_on_an_empty_account(connections: Both):
    store = MongoBudgets(connections[0], "tests/one")
    assert not await store.reserve(account(), Spending(101))
    assert await store.spent(account()) == Spending()


async def test_what_is_settled_first_is_counted(connections: Both):
    stores = [MongoBudgets(connection, "tests/one") for connection in connections]
    await asyncio.gather(*(store.add(account("anne"), Spending(1)) for _ in range(20) for store in stores))
    assert await stores[0].spent(account("anne")) == Spending(40)
    assert await stores[0].spent(account("bert")) == Spending()


async def test_agents_of_one_database_count_apart_and_forget_what_is_long_over(connections: Both):
    one, other = MongoBudgets(connections[0], "tests/one"), MongoBudgets(connections[1], "tests/other")
    for day in ("2026-10-01", "2026-11-21"):
        await one.add(account(day=day), Spending(1))
    await other.add(account(day="2026-10-01"), Spending(2))
    await one.forget("2026-11-22")
    assert await one.spent(account(day="2026-10-01")) == Spending()
    assert await one.spent(account()) == Spending(1)
    assert await other.spent(account(day="2026-10-01")) == Spending(2)

"""What calls of models may take."""

from __future__ import annotations

from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from pymongo.errors import NetworkTimeout

from agent_runtime.errors import UnavailableError
from agent_runtime.resilience import budgets as module
from agent_runtime.resilience.budget_stores import MemoryBudgets, MongoBudgets
from agent_runtime.resilience.budgets import BudgetExceeded, Budgets
from agent_runtime.resilience.metrics import ResilienceMetrics
from agent_runtime.resilience.spending import Account, Budget, Spending, before, estimated, spending, until_tomorrow
from agent_runtime.resilience.subject import Subject, subject
from agent_runtime.spec.budgets import BudgetsSpec, PriceSpec

ANNE, BERT = Subject("apiKey|anne"), Subject("apiKey|bert")


def made(store: Any = None, **spec: Any) -> tuple[Budgets, MemoryBudgets, CollectorRegistry]:
    registry, kept = CollectorRegistry(), store or MemoryBudgets()
    return Budgets(BudgetsSpec.model_validate(spec), kept, ResilienceMetrics(registry)), kept, registry


async def spend(budgets: Budgets, estimate: int, actual: int | None = None, who: Subject = ANNE) -> None:
    token = subject.set(who)
    try:
        async with budgets.call("m", Spending(estimate)) as bill:
            bill.amount = Spending(estimate if actual is None else actual)
    finally:
        subject.reset(token)


def test_a_call_costs_what_its_tokens_cost():
    price = PriceSpec(input="2.50", output="10")
    assert spending(1000, 100, price) == Spending(1100, 3500)
    assert spending(1, 0, price) == Spending(1, 3), "rounded up"
    assert spending(1000, 100, None) == Spending(1100, 0)


def test_texts_are_estimated():
    assert estimated("") == 4
    assert estimated("x" * 400) == 104


def test_days():
    assert before("2026-03-01", 1) == "2026-02-28"
    assert 0 < until_tomorrow() <= 86400


async def test_what_would_exceed_the_budget_is_not_called():
    budgets, _, registry = made(agent={"tokensPerDay": 100})
    await spend(budgets, 60)
    with pytest.raises(BudgetExceeded, match="this agent's budget"):
        await spend(budgets, 41)
    await spend(budgets, 40)
    assert registry.get_sample_value("apm_agent_budget_refusals_total", {"level": "agent"}) == 1


async def test_after_a_call_what_it_took_is_counted():
    budgets, _, _ = made(agent={"tokensPerDay": 100})
    await spend(budgets, 90, actual=10)
    await spend(budgets, 90, actual=200)
    with pytest.raises(BudgetExceeded):
        await spend(budgets, 1)


async def test_a_call_that_fails_takes_nothing():
    budgets, kept, _ = made(agent={"tokensPerDay": 100})
    with pytest.raises(ConnectionError):
        async with budgets.call("m", Spending(100)):
            raise ConnectionError
    assert list(kept._spent.values()) == [Spending()]


async def test_each_account_has_its_own_and_the_agent_one_for_all():
    budgets, _, _ = made(agent={"tokensPerDay": 150}, account={"tokensPerDay": 100})
    await spend(budgets, 100, who=ANNE)
    with pytest.raises(BudgetExceeded, match="the caller's budget"):
        await spend(budgets, 1, who=ANNE)
    await spend(budgets, 50, who=BERT)
    with pytest.raises(BudgetExceeded, match="this agent's budget"):
        await spend(budgets, 1, who=BERT)


async def test_what_one_budget_refuses_takes_nothing_from_another():
    budgets, kept, _ = made(agent={"tokensPerDay": 1000}, account={"tokensPerDay": 10})
    with pytest.raises(BudgetExceeded):
        await spend(budgets, 11)
    assert set(kept._spent.values()) == {Spending()}


async def test_money_has_a_budget_as_well():
    budgets, _, registry = made(account={"costPerDay": "0.01"})
    async with budgets.call("m", Spending(5, 10_000)) as bill:
        bill.amount = Spending(5, 9_999)
    with pytest.raises(BudgetExceeded):
        async with budgets.call("m", Spending(1, 2)):
            pytest.fail("it was called")
    assert registry.get_sample_value("apm_agent_model_cost_total", {"model": "m"}) == 0.009999


async def test_runs_are_accepted_while_something_is_left(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_FRESH", 0.0)
    budgets, _, _ = made(account={"tokensPerDay": 100})
    await budgets.admit(ANNE)
    await spend(budgets, 99)
    await budgets.admit(ANNE)
    await spend(budgets, 1)
    with pytest.raises(BudgetExceeded) as caught:
        await budgets.admit(ANNE)
    assert caught.value.retry_after == pytest.approx(until_tomorrow(), abs=5)
    await budgets.admit(BERT)


async def test_a_new_day_begins_with_nothing_spent(monkeypatch: pytest.MonkeyPatch):
    budgets, kept, _ = made(agent={"tokensPerDay": 100})
    for day in ("2026-11-21", "2026-11-22", "2026-11-23"):
        monkeypatch.setattr(module, "today", lambda day=day: day)
        await spend(budgets, 100)
        with pytest.raises(BudgetExceeded):
            await spend(budgets, 1)
    assert sorted(key[:10] for key in kept._spent) == ["2026-11-22", "2026-11-23"], "what is long over is forgotten"


class LostAfterwards(MemoryBudgets):
    async def add(self, *_: Any) -> None:
        raise UnavailableError("away")


async def test_a_store_that_is_lost_meanwhile_fails_no_call():
    budgets, kept, _ = made(LostAfterwards(), agent={"tokensPerDay": 100})
    await spend(budgets, 60, actual=1)
    assert list(kept._spent.values()) == [Spending(60)], "the estimate stays"


class Away:
    """A database whose collections don't answer."""

    @property
    def database(self) -> Any:
        return self

    def __getitem__(self, _: str) -> Any:
        return self

    async def fail(self, *_: Any, **__: Any) -> None:
        raise NetworkTimeout("secret-host:27017 timed out")

    find_one = update_one = delete_many = fail


async def test_a_database_that_is_away_is_told_without_its_address():
    store, account = MongoBudgets(Away(), "tests/one"), Account("2026-11-21/agent/x", "agent", Budget(9, None))
    for ask in (
        store.spent(account),
        store.reserve(account, Spending(1)),
        store.add(account, Spending(1)),
        store.forget("2026-11-21"),
    ):
        with pytest.raises(UnavailableError, match="MongoDB can't be used: NetworkTimeout"):
            await ask

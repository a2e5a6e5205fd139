"""Budgets of tokens and money: what would exceed one is not called."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from agent_runtime.errors import TooManyRequestsError, UnavailableError
from agent_runtime.resilience.spending import Account, Budget, Spending, today, until_tomorrow
from agent_runtime.resilience.subject import Subject, subject

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from agent_runtime.resilience.budget_stores import BudgetStore
    from agent_runtime.resilience.metrics import ResilienceMetrics
    from agent_runtime.spec.budgets import BudgetsSpec

log = structlog.get_logger()

_FRESH = 1.0
"""Seconds for which what was found at the acceptance of a run is taken for true."""
_MOST_LOOKS = 10_000


class BudgetExceeded(TooManyRequestsError):
    """A call to a model would exceed a budget, or nothing is left of one."""

    def __init__(self, level: str) -> None:
        who = "this agent's" if level == "agent" else "the caller's"
        super().__init__(
            f"{who} budget for calls of models is used up for today; the next day begins at midnight UTC",
            retry_after=until_tomorrow(),
        )
        self.level = level


@dataclass
class Bill:
    """What a call costs: first as it is estimated, then as it was."""

    amount: Spending


class Budgets:
    """Reserves before a call what it may take, and counts after it what it took."""

    def __init__(self, spec: BudgetsSpec, store: BudgetStore, metrics: ResilienceMetrics) -> None:
        self._agent = Budget.of(spec.agent) if spec.agent else None
        self._account = Budget.of(spec.account) if spec.account else None
        self._store = store
        self._metrics = metrics
        self._day = ""
        self._looks: dict[str, tuple[float, Spending]] = {}

    async def admit(self, caller: Subject) -> None:
        """Looks whether anything is left.

        Raises:
            BudgetExceeded: Nothing is.
            UnavailableError: Nobody can tell.
        """
        for account in self._accounts(caller):
            if account.budget.used_up(await self._look(account)):
                self._metrics.over_budget(account.level)
                raise BudgetExceeded(account.level)

    @asynccontextmanager
    async def call(self, model: str, estimate: Spending) -> AsyncIterator[Bill]:
        """Calls a model inside, and says on the bill what it took; a call that fails took what the bill then says.

        Raises:
            BudgetExceeded: The estimate exceeds a budget.
            UnavailableError: Nobody can tell.
        """
        accounts = self._accounts(subject.get())
        await self._forget()
        reserved: list[Account] = []
        for account in accounts:
            if not await self._store.reserve(account, estimate):
                await self._settle(reserved, Spending() - estimate)
                self._metrics.over_budget(account.level)
                raise BudgetExceeded(account.level)
            reserved.append(account)
        bill = Bill(Spending())
        try:
            yield bill
        finally:
            self._metrics.cost(model, bill.amount.cost)
            await self._settle(reserved, bill.amount - estimate)

    async def used(self) -> dict[str, float]:
        """The part of the agent's own budget of today that is used, of `tokens` and `cost` where they have a bound.

        Raises:
            UnavailableError: Nobody can tell.
        """
        if self._agent is None:
            return {}
        spent = await self._store.spent(Account.of("agent", "", self._agent, today()))
        bounds = {"tokens": (spent.tokens, self._agent.tokens), "cost": (spent.cost, self._agent.cost)}
        return {name: part / most if most else 1.0 for name, (part, most) in bounds.items() if most is not None}

    async def _settle(self, accounts: list[Account], amount: Spending) -> None:
        if amount == Spending():
            return
        for account in accounts:
            try:
                await self._store.add(account, amount)
            except UnavailableError as error:
                # The estimate stays counted.
                log.warning("a call was not settled with its budget", level=account.level, quoted=str(error))

    async def _look(self, account: Account) -> Spending:
        seen, found = self._looks.get(account.key, (float("-inf"), Spending()))
        if time.monotonic() - seen > _FRESH:
            found = await self._store.spent(account)
            if len(self._looks) >= _MOST_LOOKS:
                self._looks.clear()
            self._looks[account.key] = (time.monotonic(), found)
        return found

    def _accounts(self, caller: Subject) -> list[Account]:
        day, accounts = today(), []
        if self._agent is not None:
            accounts.append(Account.of("agent", "", self._agent, day))
        if self._account is not None:
            accounts.append(Account.of("account", caller.account, self._account, day))
        return accounts

    async def _forget(self) -> None:
        """Once a day, for what is long over."""
        if self._day == (day := today()):
            return
        self._day = day
        try:
            await self._store.forget(day)
        except UnavailableError as error:
            log.info("old budgets were not removed", quoted=str(error))

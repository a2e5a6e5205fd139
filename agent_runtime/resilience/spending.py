"""Tokens and money that calls to models take."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_UP, Decimal
from hashlib import sha256
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agent_runtime.spec.budgets import BudgetSpec, PriceSpec

_CHARACTERS = 4
"""Of a token of English text, on average."""
_OF_A_MESSAGE = 4
"""Tokens that a message takes beside its text."""
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Spending:
    """What was, or may be, spent.

    Attributes:
        tokens: sent and answered.
        cost: in millionths of the currency, rounded up.
    """

    tokens: int = 0
    cost: int = 0

    def __sub__(self, other: Spending) -> Spending:
        return Spending(self.tokens - other.tokens, self.cost - other.cost)

    def __add__(self, other: Spending) -> Spending:
        return Spending(self.tokens + other.tokens, self.cost + other.cost)


@dataclass(frozen=True, slots=True)
class Budget:
    """Most that may be spent; None where there is no bound."""

    tokens: int | None
    cost: int | None

    @classmethod
    def of(cls, spec: BudgetSpec) -> Budget:
        """From the spec."""
        cost = None if spec.cost_per_day is None else int(Decimal(spec.cost_per_day) * _MILLION)
        return cls(spec.tokens_per_day, cost)

    def holds(self, spent: Spending) -> bool:
        """Whether no more was spent than it allows."""
        return (self.tokens is None or spent.tokens <= self.tokens) and (self.cost is None or spent.cost <= self.cost)

    def used_up(self, spent: Spending) -> bool:
        """Whether nothing is left of tokens or money."""
        return (self.tokens is not None and spent.tokens >= self.tokens) or (
            self.cost is not None and spent.cost >= self.cost
        )


@dataclass(frozen=True, slots=True)
class Account:
    """Whose spending is counted, on which day; `key` names nobody, and sorts by the day."""

    key: str
    level: str
    budget: Budget

    @classmethod
    def of(cls, level: str, who: str, budget: Budget, day: str) -> Account:
        """The account of `who`."""
        return cls(f"{day}/{level}/{sha256(who.encode()).hexdigest()[:32]}", level, budget)


def spending(given: int, answered: int, price: PriceSpec | None) -> Spending:
    """Of a call with this many tokens."""
    if price is None:
        return Spending(given + answered)
    cost = Decimal(price.input) * given + Decimal(price.output) * answered
    return Spending(given + answered, int(cost.to_integral_value(ROUND_UP)))


def estimated(text: str) -> int:
    """Tokens that a text probably has."""
    return math.ceil(len(text) / _CHARACTERS) + _OF_A_MESSAGE


def today() -> str:
    """The day by UTC."""
    return datetime.now(UTC).date().isoformat()


def before(day: str, days: int) -> str:
    """The day that is so many days before another one."""
    return (datetime.fromisoformat(day) - timedelta(days=days)).date().isoformat()


def until_tomorrow() -> float:
    """Seconds until the next day by UTC."""
    now = datetime.now(UTC)
    midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), UTC)
    return (midnight - now).total_seconds()

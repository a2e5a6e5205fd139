from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from agent_runtime.spec.base import SpecModel

Amount = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,9}(\.[0-9]{1,6})?$", max_length=16)]
"""An amount of money, in whatever currency the prices are."""


class PriceSpec(SpecModel):
    """What a model costs, in the currency of `budgets`."""

    input: Amount = Field(description="Price of a million tokens that are sent, such as `2.50`.")
    output: Amount = Field(description="Price of a million tokens that are answered.")


class BudgetSpec(SpecModel):
    """What may be spent within a day, from midnight to midnight UTC."""

    tokens_per_day: int | None = Field(
        default=None, ge=1, le=1_000_000_000_000, description="Most tokens, sent and answered."
    )
    cost_per_day: Amount | None = Field(
        default=None, description="Most money, by the models' `price`, such as `20.00`; every model then needs one."
    )


class BudgetsSpec(SpecModel):
    """Budgets of calls to models; what would exceed one is not called."""

    agent: BudgetSpec | None = Field(default=None, description="Of the agent as a whole.")
    account: BudgetSpec | None = Field(default=None, description="Of each caller.")

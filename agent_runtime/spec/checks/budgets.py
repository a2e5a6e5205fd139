from __future__ import annotations

from collections.abc import Iterator

from agent_runtime.spec.agent import AgentSpec
from agent_runtime.spec.checks.problem import Problem


def check_budgets(spec: AgentSpec) -> Iterator[Problem]:
    """Budgets are of something, of money only where models have prices, and of calls that the runtime makes."""
    if spec.budgets is None:
        return
    if spec.graph is not None:
        yield Problem("budgets", "remove it: a graph of your own calls its models by itself, so that nobody can count")
    levels = {"agent": spec.budgets.agent, "account": spec.budgets.account}
    for name, budget in levels.items():
        if budget is not None and budget.tokens_per_day is None and budget.cost_per_day is None:
            yield Problem(f"budgets.{name}", "set `tokensPerDay` or `costPerDay`")
    if any(budget is not None and budget.cost_per_day is not None for budget in levels.values()):
        for number, model in enumerate(spec.models):
            if model.price is None:
                yield Problem(f"models[{number}].price", "set it: there is a budget of money (`budgets`)")

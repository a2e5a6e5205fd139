"""Evaluates expressions in a process of its own.

CEL counts iterations, not the work of each: `state.list.all(i, !state.text.contains(x))` over 10,000 items and one MiB
of text takes over a minute, and two calls of `replace` make gigabytes.
"""

from __future__ import annotations

from typing import Any

from agent_runtime.spec.confined import Confined

EVALUATOR = Confined("agent_runtime.spec.evaluator:evaluate", ["[1].map(x, x)", [], {}])


def evaluate(question: tuple[str, list[str], dict[str, Any]]) -> Any:
    """The value of an expression, given with its variables' names and their values. Raises ExpressionError."""
    from agent_runtime.spec.expression import Expression  # noqa: PLC0415 - which imports this module

    text, variables, data = question
    return Expression.compile(text, tuple(variables)).evaluate_here(data)

"""Text with holes: `{{ CEL }}` is replaced by the expression's value."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from agent_runtime.spec.expression import WORKFLOW_VARIABLES, Expression, ExpressionError


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled text with holes."""

    parts: tuple[str | Expression, ...]

    @classmethod
    def compile(cls, text: str, variables: tuple[str, ...] = WORKFLOW_VARIABLES) -> Template:
        """Compile `text`, whose holes may use the given variables.

        Raises:
            ExpressionError: a hole is no valid expression, or a `{{` is not closed.
        """
        parts: list[str | Expression] = []
        # Searched by hand: a regular expression takes quadratic time on a text of nothing but `{{`.
        rest = text
        while True:
            piece, opened, rest = rest.partition("{{")
            parts.append(piece)
            if not opened:
                break
            hole, closed, rest = rest.partition("}}")
            if not closed:
                raise ExpressionError("`{{` is not closed: write `}}` after the expression")
            parts.append(Expression.compile(hole.strip(), variables))
        return cls(tuple(part for part in parts if part != ""))

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """The expressions in the holes, in order."""
        return tuple(part for part in self.parts if isinstance(part, Expression))

    async def render(self, **variables: Any) -> str:
        """The text with its holes filled.

        Raises:
            ExpressionError: a hole can't be evaluated.
        """
        return "".join(
            [as_text(await part.evaluate(**variables)) if isinstance(part, Expression) else part for part in self.parts]
        )


def as_text(value: Any) -> str:
    """A value as a person or a model reads it: text as it is, nothing for null, else JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False, default=str)

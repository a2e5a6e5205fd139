"""Which events a consumer wants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from agent_runtime.spec.expression import Expression, ExpressionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from agent_runtime.events.event import Event

EVENT_VARIABLES = ("event",)

log = structlog.get_logger()


@dataclass(frozen=True)
class Match:
    """A pattern for types, one for sources, and a condition; None fits every event.

    Attributes:
        state: the variable `state` of the condition, where it may use one.
        on_error: called with a condition that can't be evaluated on an event, which then does not fit.
    """

    type: str | None = None
    source: str | None = None
    filter: Expression | None = None
    state: Mapping[str, Any] | None = None
    on_error: Callable[[], None] = lambda: None

    @classmethod
    def of(cls, type_: str | None, source: str | None, text: str | None, on_error: Callable[[], None]) -> Match:
        """From a spec. Raises ExpressionError."""
        condition = Expression.compile(text, EVENT_VARIABLES) if text else None
        return cls(type_, source, condition, on_error=on_error)

    async def fits(self, event: Event) -> bool:
        """Whether the event is wanted."""
        if not (_like(self.type, event.type) and _like(self.source, event.source)):
            return False
        if self.filter is None:
            return True
        try:
            state = {} if self.state is None else {"state": self.state}
            return await self.filter.holds({"event": event.as_json, **state})
        except ExpressionError as error:
            self.on_error()
            log.warning("a filter could not be evaluated on an event", quoted=str(error))
            return False


def _like(pattern: str | None, text: str) -> bool:
    """A pattern that ends with `*` stands for all texts that begin so."""
    if pattern is None:
        return True
    return text.startswith(pattern[:-1]) if pattern.endswith("*") else text == pattern

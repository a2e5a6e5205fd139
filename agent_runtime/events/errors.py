from __future__ import annotations

from agent_runtime.errors import AgentError, InputError


class MalformedEventError(InputError):
    """What was sent is no event."""

    def __init__(self, message: str, attribute: str = "", number: int | None = None) -> None:
        """`attribute` is the one that is wrong, "" if none is; `number` counts the events of a batch from 0."""
        super().__init__(message if number is None else f"event {number} of the batch: {message}")
        self.attribute = attribute
        self.number = number

    def of_batch(self, number: int) -> MalformedEventError:
        """The same, of an event of a batch."""
        return MalformedEventError(str(self), self.attribute, number)


class HopsError(InputError):
    """An event was caused by too many agents in turn: there is a loop."""


class RefusedError(AgentError):
    """A consumer will never take an event."""

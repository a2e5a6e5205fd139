"""Everything that can go wrong in an agent's pod, in one tree."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class CallErrorKind(StrEnum):
    """Kinds of failed outgoing calls; the first four are the ones `retry.errors` names."""

    TIMEOUT = "Timeout"
    CONNECTION = "Connection"
    RATE_LIMIT = "RateLimit"
    SERVER = "5xx"
    AUTHENTICATION = "Authentication"
    REFUSED = "Refused"
    BAD_ANSWER = "BadAnswer"
    CIRCUIT_OPEN = "CircuitOpen"


class AgentError(Exception):
    """Base of the runtime's own exceptions; the message is safe to show to a client."""


class ConfigError(AgentError):
    """The config file, or the graph it names, can't be used."""


class CallError(AgentError):
    """A call to a model, a tool or another agent failed."""

    def __init__(
        self, kind: CallErrorKind, message: str, *, retry_after: float | None = None, status: int | None = None
    ) -> None:
        """`retry_after` is the pause in seconds that the other side asked for, `status` that of a refusal."""
        super().__init__(message)
        self.kind = kind
        self.retry_after = retry_after
        self.status = status


class WorkflowError(AgentError):
    """A node could not do what the workflow says."""


class ExpiredError(WorkflowError):
    """Nobody answered in time."""

    kind = "Expired"


class InputError(AgentError):
    """What a client sent can't be used."""


class NotFoundError(AgentError):
    """There is no such thread, run or assistant."""


class AuthenticationError(AgentError):
    """A request does not prove who sends it."""


class ForbiddenError(AgentError):
    """The caller is known, but may not do this."""


class ConflictError(AgentError):
    """The thread is busy, or exists already."""


def busy(thread_id: str) -> ConflictError:
    """What is said to who asks to be the only one at a thread."""
    return ConflictError(f"thread {thread_id} is busy: wait for its run to end, or use the strategy enqueue")


class UnavailableError(AgentError):
    """The pod can't take this request now; another try in `retry_after` seconds may succeed."""

    def __init__(self, message: str, *, retry_after: int = 2) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class UnreadableError(UnavailableError):
    """Something that is kept can't be read, such as without its key; all else may be there, and this again with it."""


class StateLostError(AgentError):
    """A part of a thread's state is gone or was changed from outside; another try finds the same."""

    kind = "StateLost"


class FencedError(AgentError):
    """Another process has taken the thread over, so this one's writes to it are refused."""


class TooManyRequestsError(AgentError):
    """The caller, or all callers together, ask for more than is allowed; fewer or later requests are served."""

    def __init__(self, message: str, *, retry_after: float, headers: Mapping[str, str] | None = None) -> None:
        """`retry_after` is in seconds; `headers` of the answer say more, such as `RateLimit`."""
        super().__init__(message)
        self.retry_after = retry_after
        self.headers = dict(headers or {})

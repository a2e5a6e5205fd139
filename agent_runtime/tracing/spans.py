"""Spans round what an agent does.

Where tracing is off, as it is by default, they cost a look at a variable, and OpenTelemetry is not loaded.
"""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

    from langchain_core.callbacks import AsyncCallbackHandler
    from structlog.typing import EventDict, WrappedLogger

    Attributes = Mapping[str, str | int | float | bool]

Kind = Literal["internal", "server", "client"]


class Span(Protocol):
    """Something that takes time. No text of a conversation belongs in it."""

    def note(self, attributes: Attributes) -> None:
        """Adds attributes, named as OpenTelemetry's semantic conventions name them."""

    def fail(self, kind: str) -> None:
        """Marks it as failed; `kind` says in which of few ways."""


class Tracing(Protocol):
    """Makes the spans of one agent, and sends them on."""

    def span(self, name: str, kind: Kind, attributes: Attributes) -> AbstractContextManager[Span]:
        """A span within the one that is open. An exception that leaves it, it has failed with."""

    def of_request(self, name: str, headers: Mapping[str, str]) -> AbstractContextManager[Span]:
        """A request's span, in the trace that its headers name, or a new one."""

    def of_run(self, attributes: Attributes, headers: Mapping[str, str]) -> AbstractContextManager[Span]:
        """The span of one execution of a run, in the trace that its headers name."""

    def link(self, headers: Mapping[str, str]) -> None:
        """Links the open span to the one that headers name."""

    def headers(self) -> dict[str, str]:
        """By which the other side of a call finds the open span."""

    def model_headers(self) -> dict[str, str]:
        """By which a model finds the span of the call that is made here."""

    def ids(self) -> tuple[str, str] | None:
        """Those of the trace and the span that are open, if they are kept."""

    def callbacks(self) -> list[AsyncCallbackHandler]:
        """What makes spans of the nodes and models of the run that is open."""

    async def close(self) -> None:
        """Sends what is left, within a few seconds."""


class _Nothing:
    def note(self, attributes: Attributes) -> None: ...

    def fail(self, kind: str) -> None: ...


NOTHING = _Nothing()
"""What is noted where tracing is off."""

_current: ContextVar[Tracing | None] = ContextVar("tracing", default=None)


@contextmanager
def by(tracing: Tracing) -> Iterator[None]:
    """Has what happens inside traced."""
    token = _current.set(tracing)
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def span(name: str, kind: Kind, attributes: Attributes) -> Iterator[Span]:
    """A span, if tracing is on."""
    if (tracing := _current.get()) is None:
        yield NOTHING
        return
    with tracing.span(name, kind, attributes) as made:
        yield made


def on() -> bool:
    """Whether what happens here is traced."""
    return _current.get() is not None


def link(headers: Mapping[str, str]) -> None:
    """Links the open span to the one that headers name."""
    if (tracing := _current.get()) is not None:
        tracing.link(headers)


def headers() -> dict[str, str]:
    """What an outgoing request carries of the trace: W3C Trace Context; nothing where tracing is off."""
    tracing = _current.get()
    return {} if tracing is None else tracing.headers()


def model_headers() -> dict[str, str]:
    """As `headers`, for a chat model. Code round it makes the span of its calls, which is not the open one."""
    tracing = _current.get()
    return {} if tracing is None else tracing.model_headers()


def callbacks() -> list[AsyncCallbackHandler]:
    """Callbacks for the graph of the run that is open."""
    tracing = _current.get()
    return [] if tracing is None else tracing.callbacks()


def exemplar() -> dict[str, str] | None:
    """Labels that lead from a measurement to the trace that it is of."""
    tracing = _current.get()
    found = None if tracing is None else tracing.ids()
    return None if found is None else {"trace_id": found[0]}


def add_ids(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Adds to a line of the log of which trace and span it is; a processor of structlog."""
    tracing = _current.get()
    if tracing is not None and (found := tracing.ids()) is not None:
        event["trace_id"], event["span_id"] = found
    return event


def failure(error: BaseException) -> str:
    """In which way something failed: by the kind that an error has, or its type. Its words may quote conversations."""
    kind: Any = getattr(error, "kind", None)
    return str(kind) if kind is not None else type(error).__name__

"""Logs that tell the kind and the place of a failure, and not what it quotes.

Messages of exceptions, and of libraries, may hold parts of conversations or secrets: level `debug` alone has them.
"""

from __future__ import annotations

import asyncio
import logging
import re
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Any

import structlog
from stamina.instrumentation import RetryDetails, set_on_retry_hooks

from agent_runtime.tracing import spans

if TYPE_CHECKING:
    from collections.abc import Iterator

    from structlog.typing import EventDict, Processor, WrappedLogger

log = structlog.get_logger()

QUOTED = "quoted"
"""The field of an event that may hold what a user, a model or a service said."""

_FRAMES = 8
_NODE = re.compile(r"During task with name '([^']*)'")
"""What LangGraph notes on an exception that a node raised."""
_SAFE = ("uvicorn", "agent_runtime")
"""Loggers of libraries whose messages are fixed words, or about connections."""
# These tell each request and connection, with addresses.
_NOISY = ("httpx", "httpcore", "pymongo", "uvicorn.access")


def configure(level: str, form: str) -> None:
    """Sends all logs to standard output, as JSON lines or (`text`) for people."""
    number = logging.getLevelNamesMapping().get(level.upper(), logging.INFO)
    guards: list[Processor] = [structlog.processors.format_exc_info]
    if number > logging.DEBUG:
        guards = [_without_quotes, _without_words]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        spans.add_ids,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        *guards,
    ]
    end = structlog.dev.ConsoleRenderer() if form == "text" else structlog.processors.JSONRenderer()
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[_quiet if number > logging.DEBUG else _whole, *shared],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, end],
        pass_foreign_args=True,
        use_get_message=False,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(formatter)
    logging.basicConfig(handlers=[handler], level=number, force=True)
    for noisy in _NOISY:
        logging.getLogger(noisy).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(number),
        cache_logger_on_first_use=True,
    )
    _catch_the_rest()


def node_of(error: BaseException) -> str | None:
    """The node that raised an exception, as far as LangGraph noted it."""
    found = [match[1] for note in getattr(error, "__notes__", ()) if (match := _NODE.match(note))]
    return found[0] if found else None


def place(error: BaseException) -> str:
    """The types of an exception and its causes, and the lines of code that they came from; none of their words."""
    return "\n".join(_places(error))


def _places(error: BaseException | None) -> Iterator[str]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield f"{type(error).__module__}.{type(error).__qualname__}"
        frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
        yield from (f"  {frame.filename}:{frame.lineno} {frame.name}" for frame in reversed(frames))
        if isinstance(error, BaseExceptionGroup):
            for inner in error.exceptions:
                yield from _places(inner)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _without_quotes(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    event.pop(QUOTED, None)
    return event


def _without_words(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    given = event.pop("exc_info", None)
    error = sys.exc_info()[1] if given is True else given[1] if isinstance(given, tuple) else given
    if isinstance(error, BaseException):
        event["exception"] = place(error)
    return event


def _whole(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """A library's message."""
    args = event.pop("positional_args", ())
    event["event"] = event["event"] % args if args else event["event"]
    return event


def _quiet(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """A library's message without what it was filled with; nobody knows what is in one that came whole."""
    record: logging.LogRecord = event["_record"]
    if record.name.partition(".")[0] in _SAFE:
        return _whole(logger, name, event)
    if not event.pop("positional_args", ()):
        event["event"] = "a message of a library, shown at log level debug"
    event["logger"] = record.name
    event["place"] = f"{record.pathname}:{record.lineno}"
    return event


def _catch_the_rest() -> None:
    """What Python would write to standard error, words and all."""

    def on_error(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        log.critical("the process failed", exc_info=(kind, error, trace))

    def on_thread_error(args: threading.ExceptHookArgs) -> None:
        log.error("a thread failed", exc_info=args.exc_value)

    def on_unraisable(args: Any) -> None:
        log.error("an exception could not be raised", exc_info=args.exc_value)

    sys.excepthook, sys.unraisablehook, threading.excepthook = on_error, on_unraisable, on_thread_error
    logging.captureWarnings(capture=True)
    set_on_retry_hooks([_on_retry])


def _on_retry(details: RetryDetails) -> None:
    error = details.caused_by
    kind = str(getattr(error, "kind", type(error).__name__))
    log.warning(
        "calling again", number=details.retry_num, seconds=round(details.wait_for, 2), kind=kind, quoted=str(error)
    )


def on_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:  # noqa: ARG001 - asyncio passes it
    """An event loop's handler of what nobody awaits."""
    log.error("a task failed unseen", quoted=str(context.get("message")), exc_info=context.get("exception"))

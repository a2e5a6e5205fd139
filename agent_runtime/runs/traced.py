"""Spans of runs."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from agent_runtime.errors import AgentError
from agent_runtime.state.records import shown
from agent_runtime.tracing import spans

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent_runtime.state.records import Run
    from agent_runtime.state.store import Store
    from agent_runtime.tracing.spans import Attributes, Span, Tracing


@contextmanager
def traced(tracing: Tracing | None, run: Run) -> Iterator[Span]:
    """The span of one execution of a run, if tracing is on.

    It is within the span of the request that the run came with, whichever pod executes it, and however often.
    """
    if tracing is None:
        yield spans.NOTHING
        return
    about: Attributes = {
        "gen_ai.conversation.id": shown(run.thread_id),
        "apm.run.id": run.run_id,
        "apm.run.attempt": run.attempt,
    }
    with spans.by(tracing), tracing.of_run(about, _headers(run)) as span:
        yield span


async def link_resumed(store: Store, run: Run) -> None:
    """Links the run's span to the request of the run that it goes on with; only where tracing is on."""
    if not spans.on() or not run.request["body"].get("command"):
        return
    with suppress(AgentError):
        newest = await store.runs(run.thread_id, None, 2, 0)
        for before in newest:
            if before.run_id != run.run_id:
                spans.link(_headers(before))
                return


def _headers(run: Run) -> dict[str, str]:
    found: dict[str, str] = run.request.get("headers") or {}
    return found

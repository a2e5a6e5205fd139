"""One run of the graph."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import structlog
from langgraph.errors import GraphDrained, GraphRecursionError
from langgraph.types import Command

from agent_runtime import outbound
from agent_runtime.errors import AgentError, FencedError, NotFoundError, UnavailableError
from agent_runtime.logs import node_of
from agent_runtime.outbound import Baggage
from agent_runtime.resilience.subject import Subject, subject
from agent_runtime.runs.encode import dumps
from agent_runtime.runs.parts import parts
from agent_runtime.runs.request import RunRequest
from agent_runtime.runs.stream import Translator
from agent_runtime.spec.expression import ExpressionError
from agent_runtime.state.records import shown
from agent_runtime.tracing import spans

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_core.runnables import RunnableConfig
    from langgraph.graph.state import CompiledStateGraph
    from langgraph.runtime import RunControl
    from langgraph.types import Interrupt, StateSnapshot

    from agent_runtime.metrics import Metrics
    from agent_runtime.runs.events import EventLog
    from agent_runtime.state.records import Run, RunStatus

log = structlog.get_logger()

_LONGEST_MESSAGE = 2000
_OF_THE_THREAD = {"thread_id", "checkpoint_id", "checkpoint_ns", "checkpoint_map"}
"""What in a config says whose state a run reads and writes: never what a client sends."""


@dataclass(frozen=True)
class Limits:
    """Bounds of every run of an agent; `wall_clock` is in seconds."""

    steps: int
    wall_clock: float | None
    attempts: int
    """How often a run is begun; one that ends its pod each time must not go on for ever."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended; `pending` means that it has to go on later, here or elsewhere."""

    status: RunStatus
    error: dict[str, str] | None = None
    checkpoint: str | None = None
    """The checkpoint it ended with."""
    node: str | None = None
    """The node that failed, where one did."""
    values: dict[str, Any] | None = None
    """What it ended with, where it ended by itself."""
    interrupts: tuple[Interrupt, ...] = ()
    """What its thread waits for."""


@dataclass(frozen=True)
class Executor:
    """Runs an agent's graph."""

    graph: CompiledStateGraph[Any]
    limits: Limits
    metrics: Metrics
    redact: Callable[[str], str] = str
    """Takes secrets out of the message of a failure, which may be of the user's own code."""

    async def execute(self, run: Run, events: EventLog, control: RunControl) -> Outcome:
        """Runs from the input, or from the last checkpoint where an earlier attempt left one.

        Raises:
            FencedError: Another process executes the run now.
        """
        limit = self._limit(run)
        deadline = None if limit is None else time.time() + limit
        again = run.attempt > 1 or bool(run.request["body"].get("command"))
        baggage = Baggage(run.request.get("hops", 0), run.request.get("headers", {}), run.owner, deadline, again)
        outbound.baggage.set(baggage)
        try:
            outcome = await self._execute(run, events, control, limit)
            if outcome.status == "pending":
                control.request_drain()
        except FencedError:
            control.request_drain()
            raise
        finally:
            baggage.over.set()
        if outcome.error is None:
            return outcome
        # Cut after that: of a secret that is cut, a part would stay.
        message = _short(self.redact(outcome.error["message"]))
        return replace(outcome, error={**outcome.error, "message": message})

    async def _execute(  # noqa: PLR0911 - one per end
        self, run: Run, events: EventLog, control: RunControl, limit: float | None
    ) -> Outcome:
        if self.exhausted(run):
            told = f"the run was begun {self.limits.attempts} times and never ended"
            return Outcome("error", _failure("Abandoned", told))
        request = RunRequest.model_validate(run.request["body"])
        subject.set(Subject.of_owner(run.owner))
        clock = asyncio.timeout(limit)
        try:
            async with clock:
                return await self._run(run, request, events, control)
        except FencedError:
            raise
        except GraphDrained:
            return Outcome("pending")
        except UnavailableError as error:
            log.warning("run stops until the state is back", reason=str(error))
            return Outcome("pending")
        except TimeoutError as error:
            if not clock.expired():  # of the user's own code
                return Outcome("error", _failure("Timeout", str(error) or "a node gave up waiting"))
            return Outcome("timeout", _failure("Timeout", self._too_long(limit)))
        except GraphRecursionError:
            steps = self._steps(request)
            return Outcome("error", _failure("StepLimit", f"the run took more than its limit of {steps} steps"))
        except (AgentError, ExpressionError) as error:
            failure = _failure(getattr(error, "kind", type(error).__name__), str(error))
            return Outcome("error", failure, node=node_of(error))
        except Exception as error:
            # The graph may be the user's own code, so anything can come out of it.
            log.exception("run failed", node=node_of(error))
            return Outcome("error", _failure(type(error).__name__, str(error)), node=node_of(error))

    async def _run(self, run: Run, request: RunRequest, events: EventLog, control: RunControl) -> Outcome:
        config = self._config(run, request)
        given: Any = request.input
        if request.command is not None:
            given = Command(
                **{name: value for name, value in request.command.model_dump().items() if value is not None}
            )
        if run.attempt > 1:
            state = await self.graph.aget_state(thread_config(run.thread_id))
            if (state.metadata or {}).get("run_id") == run.run_id:
                if not state.tasks:
                    return _finished(state)
                # With tasks that are all done there is no `next`, and yet the checkpoint behind them is missing.
                given, config = (
                    None,
                    self._config(run, request.model_copy(update={"checkpoint": None, "checkpoint_id": None})),
                )
        at = config["configurable"]
        if at.get("checkpoint_id"):
            # It may have gone since the run was accepted.
            await state_at(self.graph, run.thread_id, at["checkpoint_id"], at["checkpoint_ns"])
        translator = Translator(request.modes)
        events.append("metadata", dumps({"run_id": run.run_id, "attempt": run.attempt}))
        async for namespace, mode, data in parts(
            self.graph,
            given,
            config,
            translator.graph_modes,
            context=request.context,
            interrupt_before=request.interrupt_before,
            interrupt_after=request.interrupt_after,
            durability=request.durability,
            control=control,
        ):
            if namespace and not request.stream_subgraphs and mode != "messages":
                continue
            for name, payload in translator.translate(mode, data):
                data_sent = dumps(payload).replace(run.thread_id.encode(), shown(run.thread_id).encode())
                events.append("|".join((name, *namespace)) if request.stream_subgraphs else name, data_sent)
        return _finished(await self.graph.aget_state(thread_config(run.thread_id)))

    def exhausted(self, run: Run) -> bool:
        """Whether the run was begun too often; what was handed back in order does not count."""
        return run.attempt - run.returned > self.limits.attempts

    async def stopped(self, run: Run) -> Outcome:
        """How a run ends that was stopped: with the newest checkpoint of its thread, which it still holds."""
        state = await self.graph.aget_state(thread_config(run.thread_id))
        return Outcome("interrupted", checkpoint=_checkpoint(state), interrupts=state.interrupts)

    async def values(self, run: Run, checkpoint: str | None) -> dict[str, Any]:
        """The values at a checkpoint, by default the newest; open interrupts under `__interrupt__`.

        Raises:
            NotFoundError: The checkpoint is no longer kept.
        """
        state = await self.graph.aget_state(thread_config(run.thread_id, checkpoint))
        if checkpoint and state.created_at is None:
            raise NotFoundError(f"what run {run.run_id} ended with is no longer kept")
        return _values(state)

    async def forget(self, run: Run) -> None:
        """Removes the checkpoints that the run wrote; the thread is then as it was before the run."""
        saver: Any = self.graph.checkpointer
        await saver.adelete_for_runs([run.run_id])

    def _config(self, run: Run, request: RunRequest) -> RunnableConfig:
        allowed = {
            name: value
            for name, value in (request.config.configurable or {}).items()
            if not name.startswith("__") and name not in _OF_THE_THREAD
        }
        return {
            "run_id": run.run_id,  # type: ignore[typeddict-item] # a UUID in text form, as the SDK writes it
            "recursion_limit": self._steps(request),
            "tags": request.config.tags or [],
            "metadata": {"run_id": run.run_id},
            "callbacks": [self.metrics.callback(), *spans.callbacks()],
            "configurable": {
                **allowed,
                "thread_id": run.thread_id,
                **_point(request),
            },
        }

    def _limit(self, run: Run) -> float | None:
        """Seconds that the run may take, by the workflow and by who asks for it."""
        limits = [self.limits.wall_clock]
        if (deadline := run.request.get("deadline")) is not None:
            limits.append(max(0.0, deadline - time.time()))
        return min((limit for limit in limits if limit is not None), default=None)

    def _too_long(self, limit: float | None) -> str:
        if limit == self.limits.wall_clock:
            return f"the run took longer than its limit of {limit:g} s"
        return "the run took longer than its caller waits"

    def _steps(self, request: RunRequest) -> int:
        asked = request.config.recursion_limit or 0
        return min(asked, self.limits.steps) if asked > 0 else self.limits.steps


def thread_config(thread_id: str, checkpoint_id: str | None = None, namespace: str = "") -> RunnableConfig:
    """The LangGraph config that names a thread as it is now, or as it was at a checkpoint."""
    at = {"checkpoint_ns": namespace} if checkpoint_id or namespace else {}
    return {
        "configurable": {"thread_id": thread_id, **at, **({"checkpoint_id": checkpoint_id} if checkpoint_id else {})}
    }


def _point(request: RunRequest) -> dict[str, Any]:
    """From where in the thread's history a run goes on."""
    if request.at is None:
        return {}
    around = {"checkpoint_map": request.within.checkpoint_map} if request.within.checkpoint_map else {}
    return {"checkpoint_id": request.at, "checkpoint_ns": request.within.checkpoint_ns, **around}


async def state_at(
    graph: CompiledStateGraph[Any],
    thread_id: str,
    checkpoint_id: str | None,
    namespace: str = "",
    *,
    subgraphs: bool = False,
) -> StateSnapshot:
    """A thread's state at a checkpoint, by default the newest.

    Raises:
        NotFoundError: There is no such checkpoint, for which LangGraph would take an empty state; or no such graph
            within the graph.
    """
    try:
        state = await graph.aget_state(thread_config(thread_id, checkpoint_id, namespace), subgraphs=subgraphs)
    except ValueError as error:
        raise NotFoundError(f"thread {shown(thread_id)} has nothing at {namespace!r}: {error}") from error
    if checkpoint_id and state.created_at is None:
        raise NotFoundError(
            f"thread {shown(thread_id)} has no checkpoint {checkpoint_id}: it is not kept any more, or never was"
        )
    return state


def _finished(state: StateSnapshot) -> Outcome:
    status: RunStatus = "interrupted" if state.next else "success"
    return Outcome(status, checkpoint=_checkpoint(state), values=_values(state), interrupts=state.interrupts)


def _values(state: StateSnapshot) -> dict[str, Any]:
    values = dict(state.values) if isinstance(state.values, dict) else {"value": state.values}
    return {**values, "__interrupt__": list(state.interrupts)} if state.interrupts else values


def _checkpoint(state: StateSnapshot) -> str | None:
    return state.config.get("configurable", {}).get("checkpoint_id")


def _failure(kind: str, message: str) -> dict[str, str]:
    return {"error": str(kind), "message": message}


def _short(message: str) -> str:
    """Short, and text that every store takes: other code's messages may quote whole answers."""
    short = message if len(message) <= _LONGEST_MESSAGE else f"{message[:_LONGEST_MESSAGE]}..."
    return short.encode(errors="replace").decode()

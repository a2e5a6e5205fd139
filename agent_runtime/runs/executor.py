"""One run of the graph."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import structlog
from langgraph.errors import GraphDrained, GraphRecursionError
from langgraph.types import Command

from agent_runtime import outbound
from agent_runtime.errors import AgentError, UnavailableError
from agent_runtime.logs import node_of
from agent_runtime.outbound import Baggage
from agent_runtime.runs.encode import dumps
from agent_runtime.runs.request import RunRequest
from agent_runtime.runs.stream import Translator
from agent_runtime.spec.expression import ExpressionError
from agent_runtime.state.records import shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from langchain_core.runnables import RunnableConfig
    from langgraph.graph.state import CompiledStateGraph
    from langgraph.runtime import RunControl
    from langgraph.types import StateSnapshot

    from agent_runtime.metrics import Metrics
    from agent_runtime.runs.events import EventLog
    from agent_runtime.state.records import Run, RunStatus

log = structlog.get_logger()

_MAX_ATTEMPTS = 10
"""How often a run is begun; one that ends its pod each time must not go on for ever."""

_LONGEST_MESSAGE = 2000
_OF_THE_THREAD = {"thread_id", "checkpoint_id", "checkpoint_ns", "checkpoint_map"}
"""What in a config says whose state a run reads and writes: never what a client sends."""


@dataclass(frozen=True)
class Limits:
    """Bounds of every run of an agent; `wall_clock` is in seconds."""

    steps: int
    wall_clock: float | None


@dataclass(frozen=True)
class Outcome:
    """How a run ended; `pending` means that it has to go on later, here or elsewhere."""

    status: RunStatus
    error: dict[str, str] | None = None
    checkpoint: str | None = None
    """The checkpoint it ended with."""
    node: str | None = None
    """The node that failed, where one did."""


@dataclass(frozen=True)
class Executor:
    """Runs an agent's graph."""

    graph: CompiledStateGraph[Any]
    limits: Limits
    metrics: Metrics
    redact: Callable[[str], str] = str
    """Takes secrets out of the message of a failure, which may be of the user's own code."""

    async def execute(self, run: Run, events: EventLog, control: RunControl) -> Outcome:
        """Runs from the input, or from the last checkpoint where an earlier attempt left one."""
        outcome = await self._execute(run, events, control)
        if outcome.error is None:
            return outcome
        # Cut after that: of a secret that is cut, a part would stay.
        message = _short(self.redact(outcome.error["message"]))
        return replace(outcome, error={**outcome.error, "message": message})

    async def _execute(self, run: Run, events: EventLog, control: RunControl) -> Outcome:  # noqa: PLR0911 - one per end
        if run.attempt > _MAX_ATTEMPTS:
            return Outcome("error", _failure("Abandoned", f"the run was begun {_MAX_ATTEMPTS} times and never ended"))
        request = RunRequest.model_validate(run.request["body"])
        outbound.baggage.set(Baggage(run.request.get("hops", 0), run.request.get("headers", {})))
        clock = asyncio.timeout(self.limits.wall_clock)
        try:
            async with clock:
                return await self._run(run, request, events, control)
        except GraphDrained:
            return Outcome("pending")
        except UnavailableError as error:
            log.warning("run stops until the state is back", reason=str(error))
            return Outcome("pending")
        except TimeoutError as error:
            if not clock.expired():  # of the user's own code
                return Outcome("error", _failure("Timeout", str(error) or "a node gave up waiting"))
            limit = self.limits.wall_clock or 0
            return Outcome("timeout", _failure("Timeout", f"the run took longer than its limit of {limit:g} s"))
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
                if not state.next:
                    return _finished(state)
                given, config = (
                    None,
                    self._config(run, request.model_copy(update={"checkpoint": None, "checkpoint_id": None})),
                )
        translator = Translator(request.modes)
        events.append("metadata", dumps({"run_id": run.run_id, "attempt": run.attempt}))
        async for namespace, mode, data in self.graph.astream(
            given,
            config,
            context=request.context,  # type: ignore[arg-type] # typed by the graph, which may be the user's own
            stream_mode=translator.graph_modes,  # type: ignore[arg-type]
            subgraphs=True,
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

    async def checkpoint(self, run: Run) -> str | None:
        """The newest checkpoint of the run's thread; the run's own as long as it holds the thread."""
        return _checkpoint(await self.graph.aget_state(thread_config(run.thread_id)))

    def _config(self, run: Run, request: RunRequest) -> RunnableConfig:
        checkpoint = request.checkpoint_id or (request.checkpoint and request.checkpoint.checkpoint_id)
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
            "callbacks": [self.metrics.model_callback()],
            "configurable": {
                **allowed,
                "thread_id": run.thread_id,
                **({"checkpoint_id": checkpoint} if checkpoint else {}),
            },
        }

    def _steps(self, request: RunRequest) -> int:
        asked = request.config.recursion_limit or 0
        return min(asked, self.limits.steps) if asked > 0 else self.limits.steps


def thread_config(thread_id: str, checkpoint_id: str | None = None, namespace: str = "") -> RunnableConfig:
    """The LangGraph config that names a thread as it is now, or as it was at a checkpoint."""
    at = {"checkpoint_id": checkpoint_id, "checkpoint_ns": namespace} if checkpoint_id else {}
    return {"configurable": {"thread_id": thread_id, **at}}


def _finished(state: StateSnapshot) -> Outcome:
    return Outcome("interrupted" if state.next else "success", checkpoint=_checkpoint(state))


def _checkpoint(state: StateSnapshot) -> str | None:
    return state.config.get("configurable", {}).get("checkpoint_id")


def _failure(kind: str, message: str) -> dict[str, str]:
    return {"error": str(kind), "message": message}


def _short(message: str) -> str:
    """Short, and text that every store takes: other code's messages may quote whole answers."""
    short = message if len(message) <= _LONGEST_MESSAGE else f"{message[:_LONGEST_MESSAGE]}..."
    return short.encode(errors="replace").decode()

"""Spans of the nodes of a run's graph, and of its calls of models, as LangChain's callbacks tell of them."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import AsyncCallbackHandler
from opentelemetry import trace
from opentelemetry.context import attach

from agent_runtime.measuring import STEP
from agent_runtime.resilience.categories import is_control_flow
from agent_runtime.tracing.current import Innermost
from agent_runtime.tracing.spans import failure

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from langchain_core.outputs import LLMResult
    from opentelemetry.context import Context

    from agent_runtime.tracing.spans import Attributes

_TOKENS = {"input_tokens": "gen_ai.usage.input_tokens", "output_tokens": "gen_ai.usage.output_tokens"}

asked: ContextVar[Context | None] = ContextVar("asked", default=None)
"""In which the newest call of a model is the open span. Only a model looks, whose call was the last to be begun."""


class GraphSpans(AsyncCallbackHandler):
    """Of one run. Neither inputs nor outputs get into the spans."""

    run_inline = True
    """In the task that calls it, since a node's span has to be the open one in that."""

    def __init__(self, tracer: trace.Tracer, models: Mapping[str, str]) -> None:
        self._tracer = tracer
        self._models = models
        self._open: dict[UUID, trace.Span] = {}
        self._around = trace.set_span_in_context(trace.get_current_span())
        self._within: dict[UUID, Context] = {}
        """What is open where a chain that is no node itself begins, for what is within it."""

    def close(self) -> None:
        """Ends what was stopped on the way."""
        for span in self._open.values():
            span.set_attribute("error.type", "CancelledError")
            span.end()
        self._open.clear()

    async def on_chain_start(
        self,
        serialized: dict[str, Any],  # noqa: ARG002 - LangChain passes it
        inputs: dict[str, Any],  # noqa: ARG002 - likewise
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Opens the span of a node."""
        around = self._within.get(parent_run_id, self._around) if parent_run_id else self._around
        if not any(tag.startswith(STEP) for tag in tags or ()):
            self._within[run_id] = around
            return
        known = metadata or {}
        node = str(known.get("langgraph_node", ""))
        about: Attributes = {"apm.node": node, "apm.superstep": int(known.get("langgraph_step", 0))}
        span = self._tracer.start_span(f"node {node}", around, attributes=about)
        self._open[run_id] = span
        self._within[run_id] = trace.set_span_in_context(span)
        attach(trace.set_span_in_context(Innermost(span, trace.get_current_span(around))))

    async def on_chain_end(self, outputs: dict[str, Any], *, run_id: UUID, **_: Any) -> None:  # noqa: ARG002
        """Ends it."""
        self._end(run_id, None)

    async def on_chain_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """Ends it as failed, unless the node stopped to wait."""
        self._end(run_id, None if is_control_flow(error) else error)

    async def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[Any]],  # noqa: ARG002 - LangChain passes it
        *,
        run_id: UUID,
        **told: Any,
    ) -> None:
        """Opens the span of a call to a model."""
        self._ask("chat", serialized, run_id, told)

    async def on_llm_start(
        self,
        serialized: dict[str, Any],
        prompts: list[str],  # noqa: ARG002 - LangChain passes it
        *,
        run_id: UUID,
        **told: Any,
    ) -> None:
        """As of a chat model."""
        self._ask("text_completion", serialized, run_id, told)

    async def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> None:
        """Ends it, with the tokens that it took."""
        if (span := self._open.get(run_id)) is not None:
            for generations in response.generations:
                for generation in generations:
                    usage = getattr(getattr(generation, "message", None), "usage_metadata", None) or {}
                    span.set_attributes({name: usage[key] for key, name in _TOKENS.items() if key in usage})
        self._end(run_id, None)

    async def on_llm_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """Ends it as failed."""
        self._end(run_id, error)

    def _ask(self, operation: str, serialized: dict[str, Any], run_id: UUID, told: dict[str, Any]) -> None:
        name = str((serialized or {}).get("name") or "")
        about = {"gen_ai.operation.name": operation, "apm.model": name}
        if model := self._models.get(name) or (told.get("metadata") or {}).get("ls_model_name"):
            about["gen_ai.request.model"] = str(model)
        around = self._within.get(told.get("parent_run_id") or run_id, self._around)
        span = self._tracer.start_span(f"{operation} {name}", around, trace.SpanKind.CLIENT, attributes=about)
        self._open[run_id] = span
        asked.set(trace.set_span_in_context(span))

    def _end(self, run_id: UUID, error: BaseException | None) -> None:
        self._within.pop(run_id, None)
        if (span := self._open.pop(run_id, None)) is None:
            return
        if error is not None:
            span.set_attribute("error.type", failure(error))
            span.set_status(trace.StatusCode.ERROR)
        span.end()

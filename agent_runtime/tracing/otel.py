"""Spans by OpenTelemetry. Loaded only where the spec has `tracing`."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from agent_runtime.release import release
from agent_runtime.resilience.categories import is_control_flow
from agent_runtime.tracing.batches import Batches
from agent_runtime.tracing.graph import GraphSpans, asked
from agent_runtime.tracing.spans import failure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from langchain_core.callbacks import AsyncCallbackHandler

    from agent_runtime.spec.agent import AgentIdentity
    from agent_runtime.tracing.spans import Attributes, Kind

_NAME = "agent_runtime"
_KINDS = {
    "internal": trace.SpanKind.INTERNAL,
    "server": trace.SpanKind.SERVER,
    "client": trace.SpanKind.CLIENT,
}
_LONGEST = 256
"""Characters of an attribute: names of the spec, not texts."""
_GOODBYE = 3.0
"""Seconds in which the last spans are sent."""
_QUOTING = frozenset({"mcp-python-sdk"})
"""Libraries whose spans hold the words of exceptions."""

_graph: ContextVar[GraphSpans | None] = ContextVar("graph", default=None)


class OwnProvider(TracerProvider):
    """Gives no spans to libraries that would put texts of conversations in them."""

    def get_tracer(self, instrumenting_module_name: str, *args: Any, **options: Any) -> trace.Tracer:
        """As the base class."""
        if instrumenting_module_name in _QUOTING:
            return trace.NoOpTracer()
        return super().get_tracer(instrumenting_module_name, *args, **options)


class OtelTracing:
    """Makes an agent's spans, and sends them in batches from a thread of its own; those that it can't send are lost."""

    def __init__(
        self, agent: AgentIdentity, pod: str, ratio: float, batches: Batches, models: Mapping[str, str]
    ) -> None:
        """`ratio` is the part of traces to keep that begin here; `models` has for a name what the provider calls it."""
        about = {
            "service.name": agent.name,
            "service.namespace": agent.namespace,
            "service.instance.id": pod,
            "service.version": release("apm-operator"),
            "k8s.namespace.name": agent.namespace,
            "k8s.pod.name": pod,
        }
        self._agent = agent.name
        self._models = models
        self._batches = batches
        self.provider = OwnProvider(
            ParentBased(TraceIdRatioBased(ratio)),
            Resource.create(about),
            shutdown_on_exit=False,
            span_limits=SpanLimits(max_span_attribute_length=_LONGEST),
        )
        self.provider.add_span_processor(self._batches)
        self._tracer = self.provider.get_tracer(_NAME)
        self._w3c = TraceContextTextMapPropagator()

    @contextmanager
    def span(self, name: str, kind: Kind, attributes: Attributes) -> Iterator[OtelSpan]:
        """As `Tracing`."""
        with self._open(name, kind, attributes) as made:
            yield made

    @contextmanager
    def of_request(self, name: str, headers: Mapping[str, str]) -> Iterator[OtelSpan]:
        """As `Tracing`."""
        with self._open(name, "server", {}, self._w3c.extract(headers, Context())) as made:
            yield made

    @contextmanager
    def of_run(self, attributes: Attributes, headers: Mapping[str, str]) -> Iterator[OtelSpan]:
        """As `Tracing`."""
        about = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": self._agent, **attributes}
        # A run begins in a task that has nothing to do with a request; what it belongs to, its headers alone say.
        around = self._w3c.extract(headers, Context())
        with self._open(f"invoke_agent {self._agent}", "internal", about, around) as made:
            spans = GraphSpans(self._tracer, self._models)
            token = _graph.set(spans)
            try:
                yield made
            finally:
                spans.close()
                _graph.reset(token)

    def link(self, headers: Mapping[str, str]) -> None:
        """As `Tracing`."""
        found = trace.get_current_span(self._w3c.extract(headers, Context())).get_span_context()
        if found.is_valid:
            trace.get_current_span().add_link(found)

    def headers(self) -> dict[str, str]:
        """As `Tracing`."""
        carrier: dict[str, str] = {}
        self._w3c.inject(carrier)
        return carrier

    def model_headers(self) -> dict[str, str]:
        """As `Tracing`."""
        carrier: dict[str, str] = {}
        self._w3c.inject(carrier, asked.get())
        return carrier

    def ids(self) -> tuple[str, str] | None:
        """As `Tracing`."""
        found = trace.get_current_span().get_span_context()
        if not found.is_valid or not found.trace_flags.sampled:
            return None
        return trace.format_trace_id(found.trace_id), trace.format_span_id(found.span_id)

    def callbacks(self) -> list[AsyncCallbackHandler]:
        """As `Tracing`."""
        graph = _graph.get()
        return [] if graph is None else [graph]

    async def close(self) -> None:
        """As `Tracing`. A receiver that is away does not hold up the end of the pod."""
        sent, loop = asyncio.Event(), asyncio.get_running_loop()

        def send() -> None:
            self._batches.shutdown()  # type: ignore[no-untyped-call]
            with suppress(RuntimeError):  # nobody waits any more
                loop.call_soon_threadsafe(sent.set)

        threading.Thread(target=send, name="last-spans", daemon=True).start()
        try:
            async with asyncio.timeout(_GOODBYE):
                await sent.wait()
        except TimeoutError:
            self._batches.span_exporter.shutdown()

    @contextmanager
    def _open(
        self,
        name: str,
        kind: Kind,
        attributes: Attributes,
        around: Context | None = None,
    ) -> Iterator[OtelSpan]:
        made = self._tracer.start_span(name, around, _KINDS[kind], dict(attributes))
        token = attach(trace.set_span_in_context(made))
        it = OtelSpan(made)
        try:
            yield it
        except BaseException as error:
            if not is_control_flow(error):
                it.fail(failure(error))
            raise
        finally:
            detach(token)
            made.end()


class OtelSpan:
    """As `Span`."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def note(self, attributes: Attributes) -> None:
        """As `Span`."""
        self._span.set_attributes(dict(attributes))

    def fail(self, kind: str) -> None:
        """As `Span`."""
        self._span.set_attribute("error.type", kind)
        self._span.set_status(trace.StatusCode.ERROR)

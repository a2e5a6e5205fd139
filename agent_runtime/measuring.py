"""What a run's graph does, as LangChain's callbacks tell of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import AsyncCallbackHandler
from prometheus_client import Counter, Histogram

from agent_runtime.resilience.categories import is_control_flow
from agent_runtime.tracing import spans

if TYPE_CHECKING:
    from uuid import UUID

    from langchain_core.outputs import LLMResult
    from prometheus_client import CollectorRegistry

_NODE_SECONDS = (0.005, 0.025, 0.1, 0.5, 2.5, 10, 30, 60, 300)
_MODEL_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300)
STEP = "graph:step:"
"""Begins the tag by which LangGraph marks a node's own run, and none of what runs inside of it."""


class GraphMetrics:
    """Supersteps, nodes, and calls of models. Nodes and models are those of the spec, so there are few."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.supersteps = Counter("apm_agent_supersteps", "Supersteps of graphs that began here.", registry=registry)
        self.nodes = Histogram(
            "apm_agent_node_duration_seconds",
            "Time that attempts of nodes took, however they ended.",
            ["node"],
            buckets=_NODE_SECONDS,
            registry=registry,
        )
        self.node_attempts = Counter(
            "apm_agent_node_attempts",
            "Attempts of nodes, by result: success, error, or interrupted, where it left to wait.",
            ["node", "result"],
            registry=registry,
        )
        self.calls = Counter(
            "apm_agent_model_calls",
            "Calls to models, by result: `success`, or the kind of the failure.",
            ["model", "result"],
            registry=registry,
        )
        self.seconds = Histogram(
            "apm_agent_model_call_duration_seconds",
            "Time that calls to models took, with all attempts.",
            ["model"],
            buckets=_MODEL_SECONDS,
            registry=registry,
        )
        self.tokens = Counter(
            "apm_agent_model_tokens",
            "Tokens that models reported, by direction: input or output.",
            ["model", "direction"],
            registry=registry,
        )


class Measuring(AsyncCallbackHandler):
    """Measures the graph that it is given to, for one run."""

    run_inline = True
    """LangChain would leave it out of `on_llm_start` beside another one that is inline."""

    def __init__(self, metrics: GraphMetrics) -> None:
        self._metrics = metrics
        self._nodes: dict[UUID, tuple[str, float]] = {}
        self._models: dict[UUID, tuple[str, float]] = {}
        self._steps: dict[UUID | None, str] = {}
        """The last superstep that was counted of each graph that runs."""

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
        """Notes when a node begins."""
        step = next((tag for tag in tags or () if tag.startswith(STEP)), None)
        if step is None:
            return
        if self._steps.get(parent_run_id) != step:
            self._steps[parent_run_id] = step
            self._metrics.supersteps.inc()
        self._nodes[run_id] = str((metadata or {}).get("langgraph_node", "")), time.monotonic()

    async def on_chain_end(self, outputs: dict[str, Any], *, run_id: UUID, **_: Any) -> None:  # noqa: ARG002
        """Counts a node."""
        self._node_ended(run_id, "success")

    async def on_chain_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """Counts a node that failed, or stopped to wait."""
        self._node_ended(run_id, "interrupted" if is_control_flow(error) else "error")

    async def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[Any]],  # noqa: ARG002 - LangChain passes it
        *,
        run_id: UUID,
        **_: Any,
    ) -> None:
        """Notes when a call to a model begins."""
        self._model_began(run_id, serialized)

    async def on_llm_start(
        self,
        serialized: dict[str, Any],
        prompts: list[str],  # noqa: ARG002 - LangChain passes it
        *,
        run_id: UUID,
        **_: Any,
    ) -> None:
        """As of a chat model; the user's own code may use others."""
        self._model_began(run_id, serialized)

    async def on_llm_end(self, response: LLMResult, *, run_id: UUID, **_: Any) -> None:
        """Counts a call, and the tokens it took."""
        model = self._model_ended(run_id, "success")
        for generations in response.generations:
            for generation in generations:
                usage = getattr(getattr(generation, "message", None), "usage_metadata", None) or {}
                self._metrics.tokens.labels(model, "input").inc(usage.get("input_tokens", 0))
                self._metrics.tokens.labels(model, "output").inc(usage.get("output_tokens", 0))

    async def on_llm_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """Counts a call that failed."""
        self._model_ended(run_id, str(getattr(error, "kind", "Other")))

    def _node_ended(self, run_id: UUID, result: str) -> None:
        self._steps.pop(run_id, None)
        if run_id not in self._nodes:
            return
        node, since = self._nodes.pop(run_id)
        self._metrics.nodes.labels(node).observe(time.monotonic() - since, spans.exemplar())
        self._metrics.node_attempts.labels(node, result).inc()

    def _model_began(self, run_id: UUID, serialized: dict[str, Any] | None) -> None:
        self._models[run_id] = str((serialized or {}).get("name") or ""), time.monotonic()

    def _model_ended(self, run_id: UUID, result: str) -> str:
        model, since = self._models.pop(run_id, ("", None))
        self._metrics.calls.labels(model, result).inc()
        if since is not None:
            self._metrics.seconds.labels(model).observe(time.monotonic() - since, spans.exemplar())
        return model

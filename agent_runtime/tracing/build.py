"""Tracing as an agent's spec asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from agent_runtime.errors import ConfigError
from agent_runtime.tracing.metrics import TracingMetrics

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from agent_runtime.outbound import Secrets
    from agent_runtime.spec.agent import RuntimeConfig
    from agent_runtime.tracing.spans import Tracing


def build(config: RuntimeConfig, pod: str, secrets: Secrets, registry: CollectorRegistry) -> Tracing | None:
    """What traces the agent; None for one whose spec has no `tracing`.

    Raises:
        ConfigError: The packages that it takes are not installed.
    """
    spec = config.spec.tracing
    if spec is None:
        return None
    try:
        from opentelemetry.trace import set_tracer_provider  # noqa: PLC0415 - only what is used is loaded

        from agent_runtime.tracing.batches import Batches  # noqa: PLC0415 - likewise
        from agent_runtime.tracing.exporter import build as sending  # noqa: PLC0415 - likewise
        from agent_runtime.tracing.otel import OtelTracing  # noqa: PLC0415 - likewise
    except ImportError as error:
        raise ConfigError(
            f"tracing: {error.name} is not installed: add the extra `tracing` to the image, or remove `tracing`"
        ) from error
    metrics = TracingMetrics(registry)
    batches = Batches(sending(spec, secrets, metrics), metrics)
    models = {model.name: model.model for model in config.spec.models if model.model is not None}
    tracing = OtelTracing(config.agent, pod, spec.sample_ratio, batches, models)
    if config.spec.graph is not None:
        # The user's own code finds it here, and nothing that the runtime brings along needs it.
        set_tracer_provider(tracing.provider)
    return tracing

"""What becomes of spans that nobody takes as fast as they are made."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from agent_runtime.outbound import Secrets
from agent_runtime.tracing.build import build
from fakes.agents import CHAT, ECHO, config
from fakes.otlp_receiver import otlp_receiver

if TYPE_CHECKING:
    from agent_runtime.tracing.spans import Tracing

WAITING, BATCH = 4, 2


def make(tracing: Tracing, count: int) -> None:
    for _ in range(count):
        with tracing.span("node answer", "internal", {}):
            pass


async def test_spans_that_find_no_room_are_counted(monkeypatch):
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", str(WAITING))
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", str(BATCH))
    registry = CollectorRegistry()
    async with otlp_receiver() as receiver:
        spec = {"models": [ECHO], "workflow": CHAT, "tracing": {"endpoint": receiver.url}}
        tracing = build(config(spec), "pod", Secrets(Path("none")), registry)
        assert tracing is not None
        assert counts(registry) == {"success": 0, "error": 0, "dropped": 0}
        receiver.awake.clear()
        make(tracing, BATCH)
        async with asyncio.timeout(10):
            while not receiver.arrived:  # noqa: ASYNC110 - polled with a deadline
                await asyncio.sleep(0.01)
        make(tracing, WAITING)
        assert counts(registry)["dropped"] == 0
        make(tracing, 3)
        assert counts(registry)["dropped"] == 3
        receiver.awake.set()
        await tracing.close()
    assert counts(registry) == {"success": BATCH + WAITING, "error": 0, "dropped": 3}
    assert len(receiver.spans) == BATCH + WAITING


def counts(registry: CollectorRegistry) -> dict[str, float | None]:
    """Spans by what became of them."""
    results = ("success", "error", "dropped")
    return {result: registry.get_sample_value("apm_agent_spans_total", {"result": result}) for result in results}

"""What a graph streams, also where clients ask for LangChain's events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from langchain_core.runnables import RunnableConfig
    from langgraph.graph.state import CompiledStateGraph

EVENTS = "events"
"""The stream mode that is not LangGraph's own."""


async def parts(
    graph: CompiledStateGraph[Any], given: Any, config: RunnableConfig, modes: Sequence[str], **options: Any
) -> AsyncIterator[tuple[tuple[str, ...], str, Any]]:
    """Namespace, mode and data of all that the graph streams; `options` are those of `astream`."""
    own = [mode for mode in modes if mode != EVENTS]
    options |= {"stream_mode": own or ["values"], "subgraphs": True}
    if len(own) == len(modes):
        async for namespace, mode, data in graph.astream(given, config, **options):
            yield namespace, mode, data
        return
    # Every callback makes an event, so this costs more than all other modes together.
    async for event in graph.astream_events(given, config, version="v2", **options):
        if event["event"] == "on_chain_stream" and event["run_id"] == config["run_id"]:
            namespace, mode, data = event["data"]["chunk"]
            if own:
                yield namespace, mode, data
        else:
            yield (), EVENTS, event

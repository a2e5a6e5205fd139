"""What a graph takes, as JSON schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
from langgraph.channels.base import BaseChannel
from langgraph.graph.state import CompiledStateGraph
from pydantic import create_model

if TYPE_CHECKING:
    from langgraph.pregel import Pregel

log = structlog.get_logger()


def input_schema(graph: Pregel[Any, Any, Any, Any]) -> dict[str, Any]:
    """The schema of a graph's input. Where its types have none, only the fields are told, which may hold anything.

    Before Python 3.12, pydantic does not take a `typing.TypedDict`, of which the states of many graphs are made: its
    fields are looked at one by one.
    """
    try:
        return graph.get_input_jsonschema()
    except Exception as error:
        if not isinstance(graph, CompiledStateGraph):
            raise
        state = graph.builder.input_schema
        fields = graph.builder.schemas[state]
        required = sorted(fields.keys() & getattr(state, "__required_keys__", frozenset()))
        try:
            typed: dict[str, Any] = {
                name: (channel.UpdateType, ... if name in required else None)
                for name, channel in fields.items()
                if isinstance(channel, BaseChannel)
            }
            model = create_model(state.__name__, **typed)
            return dict(model.model_json_schema())
        except Exception:  # noqa: BLE001 - whatever those types raise
            log.info("a graph's state has no JSON schema", kind=type(error).__name__)
            return {"type": "object", "properties": {name: {} for name in fields}, "required": required}

"""The tools by which an agent can be used."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mcp_types import Tool, ToolAnnotations

from agent_runtime.a2a.content import CONVERSATION
from agent_runtime.errors import InputError
from agent_runtime.graph_input import input_schema
from agent_runtime.spec.checks.writes import writes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langgraph.graph.state import CompiledStateGraph

    from agent_runtime.spec.agent import AgentSpec
    from agent_runtime.spec.channel import ChannelSpec

THREAD = "_thread"
"""Argument that names the conversation; no channel's name begins so."""
_ANSWER = "-answer"
_ASKING = {"approval", "agent", "wait"}
"""Nodes behind which there may be a question."""


@dataclass(frozen=True)
class OwnTools:
    """The agent as a tool, and the tool that answers its questions."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    message: str | None
    """Argument that holds what is said to the agent; None for an agent without a conversation."""
    asks: bool
    """Whether the agent may ask something before it ends."""

    @classmethod
    async def of(cls, name: str, spec: AgentSpec, graph: CompiledStateGraph[Any]) -> OwnTools:
        """From a workflow's channels, or the input of a graph of one's own."""
        if spec.workflow is not None:
            fields, required = _inputs(spec, spec.workflow.state)
            extra: dict[str, Any] = {}
        else:
            whole: dict[str, Any] = await asyncio.to_thread(input_schema, graph)
            fields, required = dict(whole.get("properties", {})), list(whole.get("required", ()))
            told = {name: field for name, field in fields.items() if name != CONVERSATION}
            extra = _definitions(told, whole.get("$defs", {}))
        message = None
        if CONVERSATION in fields:
            del fields[CONVERSATION]
            message = "message" if "message" not in fields else "_message"
            said = {message: {"type": "string", "description": "What to say to the agent."}}
            fields, required = {**said, **fields}, [message, *(one for one in required if one != CONVERSATION)]
        fields[THREAD] = {
            "type": "string",
            "description": "Id of a conversation to begin or to go on with. Without it, this call is one by itself.",
        }
        parameters = {"type": "object", "properties": fields, "required": required, **extra}
        about = spec.description or f"Asks the agent {name}."
        return cls(name, about, parameters, message, _may_ask(spec))

    @property
    def answering(self) -> str:
        """Name of the tool that answers a question."""
        return self.name + _ANSWER

    def listed(self) -> list[Tool]:
        """As the protocol lists them."""
        hints = ToolAnnotations(read_only_hint=False)
        found = [
            Tool(name=self.name, description=self.description, input_schema=dict(self.parameters), annotations=hints)
        ]
        if self.asks:
            fields = {
                "thread": {"type": "string", "description": "The conversation in which the agent asks."},
                "question": {"type": "string", "description": "Id of the question, where there are several."},
                "answer": {"description": "The answer, of the form that the question tells."},
            }
            schema = {"type": "object", "properties": fields, "required": ["thread", "answer"]}
            about = f"Answers what the agent {self.name} asks before it goes on."
            found.append(Tool(name=self.answering, description=about, input_schema=schema, annotations=hints))
        return found

    def input_of(self, arguments: Mapping[str, Any]) -> tuple[dict[str, Any], str | None]:
        """A run's input, and the thread that the arguments name.

        Raises:
            InputError: The thread, or what is said, is no text.
        """
        given = dict(arguments)
        thread = given.pop(THREAD, None)
        if thread is not None and not isinstance(thread, str):
            raise InputError(f"`{THREAD}` must be a text")
        if self.message is not None and self.message in given:
            said = given.pop(self.message)
            if not isinstance(said, str):
                raise InputError(f"`{self.message}` must be a text")
            given[CONVERSATION] = [{"role": "user", "content": said}]
        return given, thread


def _definitions(fields: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """The definitions that the fields need, if any: those of a conversation's messages alone have some 20 KiB."""
    needed: dict[str, Any] = {}
    todo: list[Any] = [fields]
    while todo:
        one = todo.pop()
        if isinstance(one, list):
            todo += one
        elif isinstance(one, dict):
            todo += one.values()
            name = str(one.get("$ref", "")).removeprefix("#/$defs/")
            if name in known and name not in needed:
                needed[name] = known[name]
                todo.append(known[name])
    return {"$defs": needed} if needed else {}


def _inputs(spec: AgentSpec, channels: Mapping[str, ChannelSpec]) -> tuple[dict[str, Any], list[str]]:
    """JSON Schemas of the channels that are a run's input, and which of them it can't do without.

    That is the conversation and what no node writes; where there is neither, any channel may be.
    """
    assert spec.workflow is not None  # noqa: S101 - the caller has seen to it
    written = {name for node in spec.workflow.nodes for name in writes(spec, node)}
    found = {name for name in channels if name not in written}
    chosen = found | ({CONVERSATION} & channels.keys()) or set(channels)
    fields = {name: _schema(channel) for name, channel in channels.items() if name in chosen}
    return fields, [name for name in fields if name in found and channels[name].default is None]


def _schema(channel: ChannelSpec) -> dict[str, Any]:
    if channel.type == "any":
        return {}
    schema: dict[str, Any] = {"type": "array" if channel.type == "messages" else channel.type}
    return schema if channel.default is None else {**schema, "default": channel.default}


def _may_ask(spec: AgentSpec) -> bool:
    flows = [*([spec.workflow] if spec.workflow else []), *spec.workflows]
    return spec.graph is not None or any(node.uses in _ASKING for flow in flows for node in flow.nodes)

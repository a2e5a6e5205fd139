"""The content of messages as an agent takes it."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from agent_runtime.a2a import files
from agent_runtime.a2a.errors import ContentTypeNotSupportedError, InvalidParamsError
from agent_runtime.graph_input import input_schema

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from langgraph.graph.state import CompiledStateGraph
    from langgraph.types import Interrupt

    from agent_runtime.a2a.protocol import Message
    from agent_runtime.agent import Agent

CONVERSATION = "messages"


async def channels_of(agent: Agent) -> Collection[str]:
    """The fields of the state that a message can set."""
    if workflow := agent.config.spec.workflow:
        return workflow.state.keys()
    return await asyncio.to_thread(_fields, agent.graph)


@lru_cache(maxsize=1)
def _fields(graph: CompiledStateGraph[Any]) -> Collection[str]:
    properties: dict[str, Any] = input_schema(graph).get("properties", {CONVERSATION: {}})
    return properties.keys()


def given_by(message: Message, channels: Collection[str]) -> dict[str, Any]:
    """The input of a run: text becomes a person's message, the fields of data are fields of the state.

    Raises:
        A2AError: The agent has no place for what the message holds.
    """
    text, data, sent = _content(message)
    given: dict[str, Any] = {}
    for value in data:
        if not isinstance(value, dict):
            raise InvalidParamsError("message.parts: data that begins a task must be an object")
        given |= value
    if unknown := sorted(given.keys() - set(channels)):
        raise InvalidParamsError(f"message.parts: the agent's state has no field `{unknown[0]}`; {_told(channels)}")
    if sent and CONVERSATION not in channels:
        raise ContentTypeNotSupportedError(f"message.parts: this agent takes data and no files; {_told(channels)}")
    if text is not None or sent:
        if CONVERSATION not in channels:
            raise InvalidParamsError(f"message.parts: this agent takes data and no text; {_told(channels)}")
        content: Any = text
        if sent:
            content = [*([{"type": "text", "text": text}] if text is not None else []), *sent]
        given[CONVERSATION] = [*_list(given.get(CONVERSATION)), {"role": "user", "content": content}]
    return given


def resumed_by(message: Message, asked: Sequence[Interrupt]) -> dict[str, Any]:
    """The answers by the id of what was asked. To one question the content is the answer, to several an object of them.

    Raises:
        A2AError: It is not clear which question is answered.
    """
    text, data, sent = _content(message)
    if sent:
        raise ContentTypeNotSupportedError("message.parts: a question is answered by text or data, not by files")
    if data and (text is not None or len(data) > 1):
        raise InvalidParamsError("message.parts: answer by text, or by one part of data")
    answer = data[0] if data else text
    ids = {one.id for one in asked}
    if isinstance(answer, dict) and answer and answer.keys() <= ids:
        return answer
    if len(ids) > 1:
        raise InvalidParamsError(
            f"message.parts: the agent asks {len(ids)} things: send data whose fields are the ids in their metadata"
        )
    return {next(iter(ids)): answer}


def _content(message: Message) -> tuple[str | None, list[Any], list[dict[str, Any]]]:
    """The text, None where there is none, the data, and the files as blocks of a message."""
    texts: list[str] = []
    data: list[Any] = []
    blocks: list[dict[str, Any]] = []
    size = 0
    for part in message.parts:
        if part.text is not None:
            texts.append(part.text)
        elif part.has_data:
            data.append(part.data)
        elif part.raw is not None or part.url is not None:
            one, length = files.block(part)
            blocks.append(one)
            size += length
        else:
            raise InvalidParamsError("message.parts: a part needs `text`, `data`, `raw` or `url`")
    if size > files.LARGEST:
        raise InvalidParamsError(f"message.parts: the files of a message may have {files.LARGEST >> 10} KiB together")
    return "\n".join(texts) if texts else None, data, blocks


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _told(channels: Collection[str]) -> str:
    return "it has " + ", ".join(f"`{name}`" for name in sorted(channels))

"""Messages as the OpenAI chat API writes them. Source: OpenAI API reference, `POST /chat/completions`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    InvalidToolCall,
    SystemMessage,
    ToolCall,
    ToolMessage,
    UsageMetadata,
)

from agent_runtime import plain
from agent_runtime.errors import CallError, CallErrorKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent_runtime.spec.tool import ToolSpec


def to_wire(messages: Sequence[BaseMessage]) -> list[dict[str, Any]]:
    """LangChain messages as request messages."""
    return [_message(message) for message in messages]


def tool_to_wire(name: str, description: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """A tool as the request offers it."""
    return {
        "type": "function",
        "function": {"name": name, "description": description, "parameters": parameters},
    }


def spec_to_wire(tool: ToolSpec) -> dict[str, Any]:
    """A tool of the spec as the request offers it."""
    return tool_to_wire(tool.name, tool.description, tool.parameters)


def from_wire(answer: Any, what: str) -> AIMessage:
    """The message of a chat completion.

    Raises:
        CallError: The answer does not have the shape of a chat completion.
    """
    try:
        choice = answer["choices"][0]
        message = choice["message"]
        calls, invalid = parse_calls(message.get("tool_calls") or ())
        return AIMessage(
            content=message.get("content") or "",
            tool_calls=calls,
            invalid_tool_calls=invalid,
            # Not the endpoint's id: some repeat theirs, and a message replaces one of the same id.
            usage_metadata=usage(answer.get("usage")),
            response_metadata={
                "finish_reason": choice.get("finish_reason"),
                "model_name": answer.get("model"),
            },
        )
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise CallError(CallErrorKind.BAD_ANSWER, f"{what} gave an answer that is no chat completion") from error


def usage(counts: dict[str, Any] | None) -> UsageMetadata | None:
    """Token counts, where the endpoint sends them."""
    if not counts:
        return None
    given, made = int(counts.get("prompt_tokens") or 0), int(counts.get("completion_tokens") or 0)
    return UsageMetadata(input_tokens=given, output_tokens=made, total_tokens=given + made)


def parse_calls(calls: Sequence[dict[str, Any]]) -> tuple[list[ToolCall], list[InvalidToolCall]]:
    """The tool calls of an answer; those whose arguments are no JSON object apart."""
    valid: list[ToolCall] = []
    invalid: list[InvalidToolCall] = []
    for call in calls:
        function = call["function"]
        name, text, identifier = function["name"], function.get("arguments") or "{}", call.get("id")
        try:
            arguments = plain.parse(text)
        except ValueError:
            arguments = None
        if isinstance(arguments, dict):
            valid.append(ToolCall(name=name, args=arguments, id=identifier, type="tool_call"))
        else:
            reason = "the arguments are no JSON object"
            invalid.append(InvalidToolCall(name=name, args=text, id=identifier, error=reason, type="invalid_tool_call"))
    return valid, invalid


def _message(message: BaseMessage) -> dict[str, Any]:
    if isinstance(message, SystemMessage):
        return {"role": "system", "content": message.content}
    if isinstance(message, ToolMessage):
        return {"role": "tool", "tool_call_id": message.tool_call_id, "content": str(message.text)}
    if isinstance(message, AIMessage):
        return _assistant(message)
    if isinstance(message, HumanMessage):
        return {"role": "user", "content": message.content}
    return {"role": "user", "content": str(message.text)}


def _assistant(message: AIMessage) -> dict[str, Any]:
    sent: dict[str, Any] = {"role": "assistant", "content": message.content or None}
    calls = [_call(call["id"], call["name"], json.dumps(call["args"])) for call in message.tool_calls]
    calls += [_call(call["id"], call["name"], call["args"]) for call in message.invalid_tool_calls]
    return {**sent, "tool_calls": calls} if calls else {**sent, "content": message.content}


def _call(identifier: str | None, name: str | None, arguments: str | None) -> dict[str, Any]:
    return {"id": identifier, "type": "function", "function": {"name": name, "arguments": arguments or ""}}

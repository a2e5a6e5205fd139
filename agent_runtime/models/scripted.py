"""A model that answers from rules in the spec, so that an agent runs without a model server."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.tool import ToolCall, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import ConfigDict

from agent_runtime.errors import WorkflowError
from agent_runtime.models.chat import AsyncChatModel
from agent_runtime.models.handoff import is_handover
from agent_runtime.models.view import message_view
from agent_runtime.spec.expression import SCRIPT_VARIABLES, Expression
from agent_runtime.spec.scalars import seconds
from agent_runtime.spec.template import Template

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun

    from agent_runtime.spec.model import ModelSpec, ScriptedRule, ScriptedToolCall


@dataclass(frozen=True)
class _Rule:
    when: Expression | None
    reply: Template
    calls: tuple[_Call, ...]
    spec: ScriptedRule

    @classmethod
    def compile(cls, rule: ScriptedRule) -> _Rule:
        when = Expression.compile(rule.when, SCRIPT_VARIABLES) if rule.when else None
        calls = tuple(_Call.compile(call) for call in rule.tool_calls)
        return cls(when, Template.compile(rule.reply, SCRIPT_VARIABLES), calls, rule)


@dataclass(frozen=True)
class _Call:
    name: str
    arguments: Mapping[str, Any]
    """Texts are templates; all else is as it is sent."""

    @classmethod
    def compile(cls, call: ScriptedToolCall) -> _Call:
        texts = {
            name: Template.compile(value, SCRIPT_VARIABLES)
            for name, value in call.arguments.items()
            if isinstance(value, str)
        }
        return cls(call.name, {**call.arguments, **texts})

    async def made(self, identifier: str, variables: Mapping[str, Any]) -> ToolCall:
        arguments = {
            name: await value.render(**variables) if isinstance(value, Template) else value
            for name, value in self.arguments.items()
        }
        return ToolCall(name=self.name, args=arguments, id=identifier, type="tool_call")


class ScriptedChatModel(AsyncChatModel):
    """Gives the answer of the first rule that matches the conversation."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    name: str
    rules: tuple[Any, ...]

    @classmethod
    def from_spec(cls, spec: ModelSpec) -> ScriptedChatModel:
        """Compiles the rules.

        Raises:
            ExpressionError: A rule's `when` or `reply` is no valid CEL.
        """
        return cls(name=spec.name, rules=tuple(_Rule.compile(rule) for rule in spec.script))

    @property
    def _llm_type(self) -> str:
        return "scripted"

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002 - the base class passes it
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 - likewise
        **kwargs: Any,  # noqa: ARG002 - likewise
    ) -> ChatResult:
        return ChatResult(generations=[ChatGeneration(message=await self._answer(messages))])

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002 - the base class passes it
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,  # noqa: ARG002 - likewise
    ) -> AsyncIterator[ChatGenerationChunk]:
        for message in _pieces(await self._answer(messages)):
            chunk = ChatGenerationChunk(message=message)
            if run_manager:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    async def _answer(self, messages: Sequence[BaseMessage]) -> AIMessage:
        variables = _variables(messages)
        for rule in self.rules:
            if rule.when is None or await rule.when.holds(variables):
                break
        else:
            raise WorkflowError(f"no rule of model {self.name} matches: let its last rule have no `when`")
        if rule.spec.delay:
            await asyncio.sleep(seconds(rule.spec.delay))
        calls = [await call.made(f"call_{len(messages)}_{number}", variables) for number, call in enumerate(rule.calls)]
        text = await rule.reply.render(**variables)
        count = len(text.split())
        tokens = {"input_tokens": 0, "output_tokens": count, "total_tokens": count}
        return AIMessage(content=text, tool_calls=calls, usage_metadata=tokens)


def _variables(messages: Sequence[BaseMessage]) -> dict[str, Any]:
    heard = [
        message for message in messages if isinstance(message, HumanMessage | ToolMessage) and not is_handover(message)
    ]
    return {
        "prompt": "\n".join(message.text for message in messages if isinstance(message, SystemMessage)),
        "last": str(heard[-1].text) if heard else "",
        "messages": [message_view(message) for message in messages],
    }


def _pieces(message: AIMessage) -> list[AIMessageChunk]:
    """The answer word by word, then its tool calls, as a streaming endpoint would send it."""
    words = str(message.text).split(" ")
    pieces = [
        AIMessageChunk(content=word if number == len(words) - 1 else f"{word} ") for number, word in enumerate(words)
    ]
    calls = [
        tool_call_chunk(name=call["name"], args=json.dumps(call["args"]), id=call["id"], index=number)
        for number, call in enumerate(message.tool_calls)
    ]
    return [
        *pieces,
        AIMessageChunk(content="", tool_call_chunks=calls, usage_metadata=message.usage_metadata),
    ]

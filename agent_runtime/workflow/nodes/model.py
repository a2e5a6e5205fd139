from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
    convert_to_messages,
)
from langgraph.types import Command

from agent_runtime import plain
from agent_runtime.errors import CallError, CallErrorKind, WorkflowError
from agent_runtime.models import handoff
from agent_runtime.models.wire import spec_to_wire
from agent_runtime.spec.edge import Handoff
from agent_runtime.spec.expression import Expression
from agent_runtime.spec.template import Template, as_text
from agent_runtime.workflow.edges import target
from agent_runtime.workflow.json_schema import Schema
from agent_runtime.workflow.parts import idempotency_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langchain_core.language_models.chat_models import BaseChatModel
    from langchain_core.messages.tool import ToolCall

    from agent_runtime.spec.node import ModelNode
    from agent_runtime.workflow.parts import NodeFunction, Parts
    from agent_runtime.workflow.tools import Tool

_MAX_CALLS = 64
"""Tool calls that one answer of a model may make; more is no plan but a flood for the service behind the tool."""


def build(node: ModelNode, parts: Parts) -> NodeFunction:
    """A node that asks a model, lets it call tools, and keeps its answer or goes where it hands over to."""
    params = node.with_
    prompt = Template.compile(params.prompt)
    question = Expression.compile(params.input) if params.input else None
    schema = Schema.read(params.output, f"node {node.name}") if params.output is not None else None
    talk = _Talk.of(node, parts)

    async def run(state: dict[str, Any]) -> dict[str, Any] | Command[Any]:
        view = parts.view(state)
        instructions = await prompt.render(state=view)
        messages: list[BaseMessage] = [SystemMessage(instructions)] if instructions else []
        if question:
            messages.append(HumanMessage(as_text(await question.evaluate(state=view))))
        else:
            messages += convert_to_messages(state.get("messages") or [])
        added = await talk.run(messages)
        update = parts.update(await _kept(added, node.name, params.save, schema))
        if not isinstance(node.next, Handoff):
            return update
        receiver = talk.handed_over_to(added)
        if receiver is not None:
            await parts.route(receiver)
        return Command(update=update, goto=target(receiver or node.next.otherwise))

    return run


@dataclass(frozen=True)
class _Talk:
    """One exchange with a model, with its rounds of tool calls."""

    node: ModelNode
    model: BaseChatModel
    tools: Mapping[str, Tool]
    receivers: Mapping[str, str]
    """Tool that hands over to the node's name."""
    options: Mapping[str, Any]

    @classmethod
    def of(cls, node: ModelNode, parts: Parts) -> _Talk:
        tools = {name: parts.tools[name] for name in node.with_.tools}
        receivers = node.next.handoff if isinstance(node.next, Handoff) else ()
        options: dict[str, Any] = {}
        if node.with_.output is not None:
            form = {"name": node.name, "schema": node.with_.output}
            options["response_format"] = {"type": "json_schema", "json_schema": form}
        names = {handoff.tool_name(receiver): receiver for receiver in receivers}
        return cls(node, parts.services.models[node.with_.model], tools, names, options)

    async def run(self, messages: list[BaseMessage]) -> list[BaseMessage]:
        """The messages that the exchange adds, the model's last answer at or near the end.

        Raises:
            CallError: The model or a tool failed.
            WorkflowError: The model called tools in more than `maxToolRounds` rounds.
        """
        added: list[BaseMessage] = []
        told = [spec_to_wire(await tool.describe()) for tool in self.tools.values()]
        options = {**self.options, "tools": told + handoff.tools(self.receivers.values())}
        for number in range(self.node.with_.max_tool_rounds + 1):
            answer = await self.model.ainvoke([*messages, *added], **options)
            added.append(answer)
            calls = answer.tool_calls
            added += [_failure(call["id"], call["error"] or "") for call in answer.invalid_tool_calls]
            if self._handover(answer) is not None:
                return [*added, *(self._handed_over(call) for call in calls)]
            if not calls and not answer.invalid_tool_calls:
                return added
            if number < self.node.with_.max_tool_rounds:
                key = f"{idempotency_key()}:{number}"
                added += await self._call_all(calls, key)
        raise WorkflowError(
            f"the model of node `{self.node.name}` still calls tools after {self.node.with_.max_tool_rounds} rounds: "
            "raise `maxToolRounds`, or say in the prompt when to stop"
        )

    def handed_over_to(self, added: list[BaseMessage]) -> str | None:
        """The node that the exchange ended by handing over to."""
        answers = [message for message in added if isinstance(message, AIMessage)]
        return self._handover(answers[-1])

    def _handover(self, answer: AIMessage) -> str | None:
        return next(
            (self.receivers[call["name"]] for call in answer.tool_calls if call["name"] in self.receivers),
            None,
        )

    def _handed_over(self, call: ToolCall) -> ToolMessage:
        receiver = self.receivers.get(call["name"])
        text = f"Handed over to {receiver}." if receiver else "Not called: the conversation was handed over."
        return ToolMessage(text, tool_call_id=call["id"] or "", name=call["name"])

    async def _call_all(self, calls: list[ToolCall], key: str) -> list[ToolMessage]:
        """Makes the calls of one answer at the same time; the first failure ends the others."""
        refused = f"not called: an answer may have {_MAX_CALLS} calls"
        try:
            async with asyncio.TaskGroup() as group:
                made = [
                    group.create_task(self._call(call, f"{key}:{place}"))
                    for place, call in enumerate(calls[:_MAX_CALLS])
                ]
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return [*(task.result() for task in made), *(_failure(call["id"], refused) for call in calls[_MAX_CALLS:])]

    async def _call(self, call: ToolCall, key: str) -> ToolMessage:
        tool = self.tools.get(call["name"])
        if tool is None:
            return _failure(call["id"], f"there is no tool {call['name']}")
        try:
            answer = await tool.call(call["args"], key)
        except CallError as error:
            if error.kind != CallErrorKind.REFUSED:
                raise
            return _failure(call["id"], str(error))
        return ToolMessage(as_text(answer), tool_call_id=call["id"] or "", name=call["name"])


def _failure(identifier: str | None, reason: str) -> ToolMessage:
    """Tells the model what was wrong with its call, so that it can make a better one."""
    return ToolMessage(f"Error: {reason}", tool_call_id=identifier or "", status="error")


async def _kept(added: list[BaseMessage], name: str, save: str | None, schema: Schema | None) -> dict[str, Any]:
    answers = [message for message in added if isinstance(message, AIMessage)]
    text = str(answers[-1].text)
    value: Any = text
    if schema is not None:
        try:
            value = plain.parse(text)
        except ValueError:
            raise CallError(CallErrorKind.BAD_ANSWER, f"the model of node `{name}` answered no JSON") from None
        if problem := await schema.mismatch(value, quote_value=False):
            raise CallError(CallErrorKind.BAD_ANSWER, f"the answer at node `{name}` does not fit `output`: {problem}")
    return {save: value} if save else {"messages": added}

"""What a run ended with, as the answer of a tool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from mcp_types import (
    CallToolResult,
    ElicitRequest,
    ElicitRequestFormParams,
    InputRequiredResult,
    TextContent,
)

from agent_runtime.a2a.content import CONVERSATION
from agent_runtime.mcp import meta
from agent_runtime.runs.encode import dumps
from agent_runtime.runs.spoken import answers
from agent_runtime.state.records import shown
from agent_runtime.workflow.questions import question_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langgraph.types import Interrupt

    from agent_runtime.mcp.own_tools import OwnTools
    from agent_runtime.state.records import Run

INTERRUPT = "__interrupt__"
ANSWER = "answer"
"""Field of a form for a question that tells no form of its own."""
_FORM = {
    "type", "title", "description", "enum", "enumNames", "minLength", "maxLength", "format", "minimum", "maximum",
    "default",
}  # fmt: skip
"""What the form of an elicitation may say of a field."""
_PLAIN = {"string", "number", "integer", "boolean"}


def failed(message: str) -> CallToolResult:
    """The answer of a call that failed; whoever reads it may make a better one."""
    return CallToolResult(content=[TextContent(text=message)], is_error=True)


def told(values: Mapping[str, Any], run: Run, tools: OwnTools) -> CallToolResult:
    """What the agent said and found; or what it asks, and how to answer that."""
    marks = {meta.THREAD: shown(run.thread_id), meta.RUN: run.run_id}
    if failure := values.get("__error__"):
        text = f"the agent {tools.name} failed: {failure['message']}"
        return CallToolResult(content=[TextContent(text=text)], is_error=True, _meta=marks)
    if questions := values.get(INTERRUPT):
        thread = shown(run.thread_id)
        asked = [_question(one) for one in questions]
        structured: Any = {"status": "input_required", "thread": thread, "questions": asked}
        return CallToolResult(
            content=[TextContent(text=_how_to_answer(asked, thread, tools))],
            structured_content=structured,
            _meta=marks,
        )
    rest = orjson.loads(dumps({name: value for name, value in values.items() if name != CONVERSATION}))
    said = "\n\n".join(one.text for one in answers(values) if one.text)
    text = said or dumps(rest).decode()
    return CallToolResult(content=[TextContent(text=text)], structured_content=rest or None, _meta=marks)


def elicited(values: Mapping[str, Any], run: Run) -> InputRequiredResult | None:
    """What the agent asks, as forms for the person at the client; None where a question fits into none."""
    requests = {}
    for one in values.get(INTERRUPT) or ():
        question = question_of(one.value)
        if question is not None:
            form, message = _form(question.schema_), question.ask
            if question.problem:
                message = f"{message}\n\nThe answer before did not fit: {question.problem}"
        elif isinstance(one.value, str):
            form = {"type": "object", "properties": {ANSWER: {"type": "string"}}, "required": [ANSWER]}
            message = one.value
        else:
            return None
        if form is None:
            return None
        requests[one.id] = ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=form))
    return InputRequiredResult(input_requests=requests, request_state=shown(run.thread_id)) if requests else None


def _form(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """A JSON Schema as far as forms go; None where it asks for more than plain fields."""
    fields = {}
    for name, one in schema.get("properties", {}).items():
        if not isinstance(one, dict) or one.get("type") not in _PLAIN:
            return None
        fields[name] = {key: value for key, value in one.items() if key in _FORM}
    return {"type": "object", "properties": fields, "required": list(schema.get("required", ()))} if fields else None


def _question(one: Interrupt) -> dict[str, Any]:
    question = question_of(one.value)
    if question is None:
        return {"id": one.id, "ask": orjson.loads(dumps(one.value))}
    return {"id": one.id, "ask": question.ask, "choices": list(question.choices), "schema": question.schema_}


def _how_to_answer(asked: list[dict[str, Any]], thread: str, tools: OwnTools) -> str:
    lines = [f"The agent {tools.name} asks before it goes on:"]
    for one in asked:
        ask = one["ask"] if isinstance(one["ask"], str) else dumps(one["ask"]).decode()
        lines.append(f"- question {one['id']}: {ask}")
        if "schema" in one:
            lines.append(f"  The answer must fit {dumps(one['schema']).decode()}")
    call = dumps({"thread": thread, "question": asked[0]["id"], "answer": "..."}).decode()
    lines.append(f"To answer, call the tool {tools.answering} with {call}.")
    return "\n".join(lines)

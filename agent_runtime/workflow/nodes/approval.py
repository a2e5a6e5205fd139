from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langgraph.types import Command, interrupt

from agent_runtime.errors import ExpiredError, WorkflowError
from agent_runtime.spec.approval_node import CHOICE
from agent_runtime.spec.scalars import seconds
from agent_runtime.spec.template import Template
from agent_runtime.workflow.edges import target
from agent_runtime.workflow.expiry import EXPIRES_AT, expires_at, is_expired
from agent_runtime.workflow.json_schema import Schema
from agent_runtime.workflow.questions import Question, whole_answer

if TYPE_CHECKING:
    from agent_runtime.spec.approval_node import ApprovalNode
    from agent_runtime.workflow.parts import NodeFunction, Parts

_NONE = {"expired": True}
"""What is saved where nobody answered, and no answer counts in its place."""


def build(node: ApprovalNode, parts: Parts) -> NodeFunction:
    """A node that waits for a person's answer, asks again while it does not fit, and goes where they choose."""
    params = node.with_
    ask, schema = Template.compile(params.ask), Schema.read(params.answer, f"node {node.name}")
    routes = {choice: target(name) for choice, name in params.routes.items()}
    limit = seconds(params.expire) if params.expire else None
    approvers = params.approvers.marks if params.approvers else ()

    async def run(state: dict[str, Any]) -> Command[Any]:
        text = await ask.render(state=parts.view(state))
        question = Question(
            node=node.name,
            ask=text,
            choices=tuple(routes),
            schema_=params.answer,
            expires_at=expires_at(limit) if limit else None,
            approvers=approvers,
        )
        while True:
            # LangGraph goes through the earlier answers again at each resume, and stops at the first new question.
            given = interrupt(question.value)
            late = is_expired(given)
            answer = _late(node, given) if late else whole_answer(given)
            problem = None if answer == _NONE else await schema.mismatch(answer)
            if problem is None:
                break
            if late:
                raise WorkflowError(f"`onExpire.answer` of node `{node.name}` does not fit its schema: {problem}")
            question = question.model_copy(update={"problem": problem})
        update = parts.update({params.save: answer}) if params.save else {}
        elsewhere = params.on_expire.to if late and params.on_expire else None
        return Command(update=update, goto=target(elsewhere) if elsewhere else routes[answer[CHOICE]])

    return run


def _late(node: ApprovalNode, given: dict[str, Any]) -> dict[str, Any]:
    """The answer where nobody gave one.

    Raises:
        ExpiredError: The workflow knows none, and no way to go then.
    """
    late = node.with_.on_expire
    if late is None:
        raise ExpiredError(f"nobody answered approval `{node.name}` by {given[EXPIRES_AT]}")
    return _NONE if late.answer is None else late.answer

from __future__ import annotations

from collections.abc import Iterator

from agent_runtime.spec.approval_node import ApprovalNode
from agent_runtime.spec.checks.problem import Problem
from agent_runtime.spec.edge import ForEach, Switch
from agent_runtime.spec.emit_node import EmitNode
from agent_runtime.spec.expression import WORKFLOW_VARIABLES, Expression, ExpressionError, state_fields
from agent_runtime.spec.node import AgentNode, ModelNode, Node, SetNode, ToolNode
from agent_runtime.spec.template import Template
from agent_runtime.spec.wait_node import WaitNode
from agent_runtime.spec.workflow import WorkflowSpec

WAIT_VARIABLES = ("state", "event")
"""Variables of the filter of a `wait` node."""


def check_expressions(workflow: WorkflowSpec, path: str) -> Iterator[Problem]:
    """Every expression compiles, names known channels, and conditions are true or false."""
    items = {node.next.as_ for node in workflow.nodes if isinstance(node.next, ForEach)}
    known = set(workflow.state) | items
    for number, node in enumerate(workflow.nodes):
        where = f"{path}.nodes[{number}]"
        for place, text, condition in _expressions(node):
            yield from _check(f"{where}.{place}", text, known, condition=condition)
        if isinstance(node, WaitNode) and node.with_.filter is not None:
            yield from _check(
                f"{where}.with.filter", node.with_.filter, known, condition=True, variables=WAIT_VARIABLES
            )
        if isinstance(node, ModelNode):
            yield from _check_prompt(f"{where}.with.prompt", node.with_.prompt, known)
        if isinstance(node, ApprovalNode):
            yield from _check_prompt(f"{where}.with.ask", node.with_.ask, known)
        if isinstance(node.next, ForEach) and node.next.as_ in workflow.state:
            yield Problem(f"{where}.next.as", f"`{node.next.as_}` is a channel already: give the item another name")


def _expressions(node: Node) -> Iterator[tuple[str, str, bool]]:
    """Each expression of a node with its place, and whether it must be true or false."""
    for place, text in _values(node):
        yield f"with.{place}", text, False
    for name, text in (node.fallback or {}).items():
        yield f"fallback.{name}", text, False
    if isinstance(node.next, Switch):
        for number, case in enumerate(node.next.switch):
            yield f"next.switch[{number}].when", case.when, True
    elif isinstance(node.next, ForEach):
        yield "next.forEach", node.next.for_each, False


def _values(node: Node) -> Iterator[tuple[str, str]]:
    given: dict[str, str | None] = {}
    match node:
        case ModelNode() | AgentNode():
            given = {"input": node.with_.input}
        case SetNode():
            given = {f"values.{name}": text for name, text in node.with_.values.items()}
        case ToolNode():
            given = {f"arguments.{name}": text for name, text in node.with_.arguments.items()}
        case EmitNode():
            given = {"subject": node.with_.subject, "data": node.with_.data}
        case WaitNode():
            given = {"subject": node.with_.subject}
    yield from ((place, text) for place, text in given.items() if text is not None)


def _check(
    path: str, text: str, known: set[str], *, condition: bool, variables: tuple[str, ...] = WORKFLOW_VARIABLES
) -> Iterator[Problem]:
    try:
        expression = Expression.compile(text, variables)
    except ExpressionError as error:
        yield Problem(path, str(error))
        return
    if condition and not expression.may_be_bool:
        yield Problem(path, f"`{text}` must be true or false")
    yield from _check_fields(path, text, known)


def _check_prompt(path: str, prompt: str, known: set[str]) -> Iterator[Problem]:
    try:
        template = Template.compile(prompt)
    except ExpressionError as error:
        yield Problem(path, str(error))
        return
    for expression in template.expressions:
        yield from _check_fields(path, expression.text, known)


def _check_fields(path: str, text: str, known: set[str]) -> Iterator[Problem]:
    for field in state_fields(text):
        if field not in known:
            yield Problem(
                path,
                f"`{text}` reads `state.{field}`, which the workflow's state doesn't have: correct the name or add it",
            )

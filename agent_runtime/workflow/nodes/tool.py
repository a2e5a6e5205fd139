from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_runtime.spec.expression import Expression
from agent_runtime.workflow.parts import idempotency_key

if TYPE_CHECKING:
    from agent_runtime.spec.node import ToolNode
    from agent_runtime.workflow.parts import NodeFunction, Parts


def build(node: ToolNode, parts: Parts) -> NodeFunction:
    """A node that calls a tool with computed arguments."""
    arguments = {name: Expression.compile(text) for name, text in node.with_.arguments.items()}
    tool, save = parts.tools[node.with_.tool], node.with_.save

    async def run(state: dict[str, Any]) -> dict[str, Any]:
        view = parts.view(state)
        given = {name: await expression.evaluate(state=view) for name, expression in arguments.items()}
        answer = await tool.call(given, idempotency_key())
        return parts.update({save: answer}) if save else {}

    return run

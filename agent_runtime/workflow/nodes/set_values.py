from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_runtime.spec.expression import Expression

if TYPE_CHECKING:
    from agent_runtime.spec.node import SetNode
    from agent_runtime.workflow.parts import NodeFunction, Parts


def build(node: SetNode, parts: Parts) -> NodeFunction:
    """A node that computes channels; all expressions see the state before the node."""
    values = {name: Expression.compile(text) for name, text in node.with_.values.items()}

    async def run(state: dict[str, Any]) -> dict[str, Any]:
        view = parts.view(state)
        return parts.update({name: await expression.evaluate(state=view) for name, expression in values.items()})

    return run

"""What an agent's spec makes use of."""

from __future__ import annotations

from collections.abc import Iterator

from agent_runtime.spec.agent import AgentSpec
from agent_runtime.spec.emit_node import EmitNode
from agent_runtime.spec.node import Node
from agent_runtime.spec.wait_node import WaitNode


def uses_knowledge(spec: AgentSpec) -> bool:
    """Whether the spec sets up a knowledge base, or a tool searches one."""
    if spec.integrations is not None and spec.integrations.knowledge_base is not None:
        return True
    flows = [flow for flow in (spec.workflow, *spec.workflows) if flow is not None]
    return any(
        tool.integration is not None and tool.integration.name == "knowledgeBase"
        for flow in flows
        for tool in flow.tools
    )


def uses_events(spec: AgentSpec) -> bool:
    """Whether the spec says what to do with events, or a node emits or awaits some."""
    return spec.events is not None or any(isinstance(node, EmitNode | WaitNode) for node in _nodes(spec))


def wait_nodes(spec: AgentSpec) -> list[WaitNode]:
    """The nodes that await events, of all workflows."""
    return [node for node in _nodes(spec) if isinstance(node, WaitNode)]


def _nodes(spec: AgentSpec) -> Iterator[Node]:
    for flow in (spec.workflow, *spec.workflows):
        if flow is not None:
            yield from flow.nodes

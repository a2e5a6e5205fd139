"""A workflow as Mermaid text, the diagram language that GitHub and Grafana draw."""

from __future__ import annotations

from agent_runtime.spec.approval_node import ApprovalNode
from agent_runtime.spec.graph import START, Edge, edges
from agent_runtime.spec.node import Node
from agent_runtime.spec.scalars import END
from agent_runtime.spec.workflow import WorkflowSpec

LONGEST = 65536
"""Characters of a picture; it becomes a part of the resource's status."""
_LABEL_LIMIT = 60


def mermaid(workflow: WorkflowSpec) -> str:
    """The workflow as a Mermaid flowchart; one that is too large is not drawn but counted."""
    drawn = edges(workflow)
    lines = ["flowchart TD", f"  {_id(START)}([start])"]
    lines += [f"  {_id(node.name)}{_shape(node)}" for node in workflow.nodes]
    if any(edge.target == END for edge in drawn):
        lines.append(f"  {_id(END)}([end])")
    lines += [f"  {_id(edge.source)} {_arrow(edge)} {_id(edge.target)}" for edge in drawn]
    drawing = "\n".join(lines) + "\n"
    if len(drawing) <= LONGEST:
        return drawing
    return f"flowchart TD\n  {_id(START)}([{len(workflow.nodes)} nodes and {len(drawn)} edges])\n"


def _id(name: str) -> str:
    # "end" alone is a keyword of Mermaid, and a dash inside an id can be read as an arrow.
    return "n_" + name.replace("-", "_")


def _shape(node: Node) -> str:
    label = f"{node.name}<br/><small>{node.uses}</small>"
    if isinstance(node, ApprovalNode):
        return f'{{"{label}"}}'
    return f'{{{{"{label}"}}}}' if node.needs or node.defer else f'["{label}"]'


def _arrow(edge: Edge) -> str:
    line = {"error": "-.->", "join": "==>"}.get(edge.kind, "-->")
    if not edge.label:
        return line
    text = edge.label if len(edge.label) <= _LABEL_LIMIT else edge.label[: _LABEL_LIMIT - 3] + "..."
    return f'{line}|"{_escape(text)}"|'


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")

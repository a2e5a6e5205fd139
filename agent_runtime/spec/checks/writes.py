"""Channels that nodes write at the same time.

LangGraph refuses the second write unless a reducer says how the two meet.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, product

from agent_runtime.spec.agent import AgentSpec
from agent_runtime.spec.approval_node import ApprovalNode
from agent_runtime.spec.checks.problem import Problem
from agent_runtime.spec.edge import ForEach
from agent_runtime.spec.emit_node import EmitNode
from agent_runtime.spec.graph import reachable, successors
from agent_runtime.spec.node import AgentNode, ModelNode, Node, SetNode, ToolNode, WorkflowNode
from agent_runtime.spec.wait_node import WaitNode
from agent_runtime.spec.workflow import WorkflowSpec


def check_writes(spec: AgentSpec, workflow: WorkflowSpec, path: str) -> Iterator[Problem]:
    """No channel without a reducer is written by nodes that may run in one superstep."""
    bare = {
        name
        for name, channel in workflow.state.items()
        if channel.type != "messages" and channel.reduce in (None, "replace")
    }
    written = {node.name: writes(spec, node) & bare for node in workflow.nodes}
    told: set[str] = set()
    writing = {name for name, channels in written.items() if channels}
    for first, second in _parallel(workflow, writing):
        for channel in sorted(written[first] & written[second] - told):
            told.add(channel)
            who = f"by `{first}` many times at once" if first == second else f"by `{first}` and `{second}` at once"
            yield Problem(
                f"{path}.state.{channel}",
                f"may be written {who}: set `reduce` (append, merge, sum, max or union)",
            )


def writes(spec: AgentSpec, node: Node) -> frozenset[str]:
    """The channels that a node may write."""
    return _written(spec, node) | frozenset(node.fallback or ())


def _written(spec: AgentSpec, node: Node) -> frozenset[str]:
    if isinstance(node, SetNode):
        return frozenset(node.with_.values)
    if isinstance(node, ModelNode | AgentNode):
        return frozenset({node.with_.save or "messages"})
    if isinstance(node, ToolNode | ApprovalNode | EmitNode | WaitNode):
        return frozenset({node.with_.save} if node.with_.save else ())
    return _written_by_sub_workflow(spec, node)


def _written_by_sub_workflow(spec: AgentSpec, node: WorkflowNode) -> frozenset[str]:
    found: set[str] = set()
    seen: set[str] = set()
    waiting = [node.with_.ref]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        for sub in (workflow for workflow in spec.workflows if workflow.name == name):
            for inner in sub.nodes:
                if isinstance(inner, WorkflowNode):
                    waiting.append(inner.with_.ref)
                else:
                    found |= writes(spec, inner)
    return frozenset(found)


def _parallel(workflow: WorkflowSpec, among: set[str]) -> Iterator[tuple[str, str]]:
    """Pairs of the given nodes that may run in one superstep; a node with itself where a forEach runs it."""
    following = successors(workflow)
    onward = {name: {name} | reachable(following, name) for name in following}
    for node in workflow.nodes:
        if isinstance(node.next, ForEach):
            yield node.next.to, node.next.to
    fans = [workflow.starts, *(node.next for node in workflow.nodes if isinstance(node.next, tuple))]
    sides = {
        pair: None
        for fan in fans
        for pair in combinations([name for name in dict.fromkeys(fan) if name in following], 2)
    }
    seen: set[tuple[str, str]] = set()
    for first, second in sides:
        left, right = onward[first] & among, onward[second] & among
        for pair in product(sorted(left - right), sorted(right - left)):
            if pair not in seen:
                seen.add(pair)
                yield pair

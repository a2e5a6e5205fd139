"""A workflow's edges as plain data: what the checks and the diagram walk along."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from agent_runtime.spec.approval_node import ApprovalNode
from agent_runtime.spec.edge import ForEach, Handoff, Switch
from agent_runtime.spec.node import Node
from agent_runtime.spec.scalars import END
from agent_runtime.spec.wait_node import WaitNode
from agent_runtime.spec.workflow import WorkflowSpec

START = "start"
EdgeKind = Literal["always", "case", "each", "handoff", "route", "error", "join"]


@dataclass(frozen=True, slots=True)
class Edge:
    """One way from a node to another; `path` is where the target is written, relative to the node."""

    source: str
    target: str
    kind: EdgeKind
    path: str
    label: str = ""


def edges_of(node: Node) -> Iterator[Edge]:
    """The edges that leave a node by its own words, without the joins that need it."""
    yield from _next_of(node)
    if isinstance(node, ApprovalNode):
        for choice, name in node.with_.routes.items():
            yield Edge(node.name, name, "route", f"with.routes.{choice}", choice)
        if node.with_.on_expire is not None and node.with_.on_expire.to is not None:
            yield Edge(node.name, node.with_.on_expire.to, "route", "with.onExpire.to", "expired")
    if isinstance(node, WaitNode) and node.with_.on_timeout is not None:
        yield Edge(node.name, node.with_.on_timeout, "error", "with.onTimeout", "on timeout")
    if node.on_error is not None:
        yield Edge(node.name, node.on_error, "error", "onError", "on error")


def _next_of(node: Node) -> Iterator[Edge]:
    following = node.next
    if isinstance(following, str):
        yield Edge(node.name, following, "always", "next")
    elif isinstance(following, tuple):
        for number, target in enumerate(following):
            yield Edge(node.name, target, "always", f"next[{number}]")
    elif isinstance(following, Switch):
        for number, case in enumerate(following.switch):
            yield Edge(node.name, case.to, "case", f"next.switch[{number}].to", case.when)
        yield Edge(node.name, following.otherwise, "case", "next.else", "else")
    elif isinstance(following, ForEach):
        yield Edge(node.name, following.to, "each", "next.to", f"each {following.for_each}")
    elif isinstance(following, Handoff):
        for number, target in enumerate(following.handoff):
            yield Edge(node.name, target, "handoff", f"next.handoff[{number}]", "hand over")
        yield Edge(node.name, following.otherwise, "handoff", "next.else", "else")


def joins_of(node: Node) -> Iterator[Edge]:
    """The edges by which a node waits for others."""
    for number, source in enumerate(node.needs):
        yield Edge(source, node.name, "join", f"needs[{number}]")


def edges(workflow: WorkflowSpec) -> tuple[Edge, ...]:
    """All edges: from `start`, between nodes, and to `end`."""
    found = [Edge(START, name, "always", "start") for name in workflow.starts]
    joined = {source for node in workflow.nodes for source in node.needs}
    for node in workflow.nodes:
        found += edges_of(node)
        found += joins_of(node)
        if node.next is None and node.name not in joined and not isinstance(node, ApprovalNode):
            found.append(Edge(node.name, END, "always", "next"))
    return tuple(found)


def successors(workflow: WorkflowSpec) -> dict[str, set[str]]:
    """Node to the nodes that may run after it; `start` has an entry, `end` is left out."""
    following: dict[str, set[str]] = {START: set(), **{node.name: set() for node in workflow.nodes}}
    for edge in edges(workflow):
        if edge.target != END and edge.source in following:
            following[edge.source].add(edge.target)
    return following


def reachable(following: dict[str, set[str]], origin: str) -> set[str]:
    """The nodes that can be reached from a node; the node itself only by a cycle."""
    seen: set[str] = set()
    waiting = [origin]
    while waiting:
        for target in following.get(waiting.pop(), ()):
            if target not in seen:
                seen.add(target)
                waiting.append(target)
    return seen

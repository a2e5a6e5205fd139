"""Joins that can never fire.

A node with `needs` starts when all of them have finished. If one of them lies on a branch that another one excludes,
the run ends early and silently, so such a join is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from agent_runtime.spec.approval_node import ApprovalNode
from agent_runtime.spec.checks.problem import Problem
from agent_runtime.spec.edge import ForEach, Handoff, Switch
from agent_runtime.spec.graph import START, edges_of, reachable, successors
from agent_runtime.spec.node import Node
from agent_runtime.spec.scalars import END
from agent_runtime.spec.workflow import WorkflowSpec


def check_joins(workflow: WorkflowSpec, path: str) -> Iterator[Problem]:
    """Every join can fire, and only as a join."""
    certain = _Certain(workflow)
    following = successors(workflow)
    for number, node in enumerate(workflow.nodes):
        if not node.needs:
            continue
        where = f"{path}.nodes[{number}].needs"
        later = reachable(following, node.name)
        otherwise = reachable({**following, node.name: set()}, START)
        for source in node.needs:
            if any(edge.target == node.name for edge in edges_of(certain.nodes[source])):
                yield Problem(
                    where,
                    f"`{source}` names `{node.name}` in its `next` as well: remove it there, `needs` is enough",
                )
            if source in later and source not in otherwise:
                yield Problem(
                    where, f"`{source}` runs only after `{node.name}`, so this join can never fire: remove it"
                )
                return
        if len(node.needs) > 1 and not certain.together(node.needs):
            yield Problem(
                where,
                f"{', '.join(f'`{name}`' for name in node.needs)} don't all run in one run (a switch, an approval, "
                "a hand-over or a forEach lies between), so this join may never fire: join the branches with `next` or "
                "`defer: true`",
            )


class _Certain:
    """Which nodes run for certain once a given node has started."""

    def __init__(self, workflow: WorkflowSpec) -> None:
        self.nodes: dict[str, Node] = {node.name: node for node in workflow.nodes}
        self.joins = [(node.name, frozenset(node.needs)) for node in workflow.nodes if node.needs]
        self.known: dict[str, frozenset[str]] = {}
        self.from_start = self.after(workflow.starts)

    def together(self, names: Iterable[str]) -> bool:
        """Whether some node starts all of these, or the workflow's start does."""
        wanted = set(names)
        if wanted <= self.from_start:
            return True
        return any(wanted <= self.from_node(name) for name in self.nodes)

    def from_node(self, name: str) -> frozenset[str]:
        """The node and all that run for certain after it."""
        if name not in self.known:
            self.known[name] = frozenset()  # a cycle adds nothing that is certain
            self.known[name] = self.after((name,))
        return self.known[name]

    def after(self, names: Iterable[str]) -> frozenset[str]:
        found: set[str] = set()
        waiting = list(names)
        while waiting:
            name = waiting.pop()
            if name == END or name in found:
                continue
            found.add(name)
            waiting += self._following(self.nodes[name])
            waiting += [joined for joined, needs in self.joins if joined not in found and needs <= found]
        return frozenset(found)

    def _following(self, node: Node) -> Iterable[str]:
        if isinstance(node.next, Switch | Handoff) or isinstance(node, ApprovalNode):
            branches = [edge.target for edge in edges_of(node) if edge.kind in ("case", "handoff", "route")]
            return frozenset.intersection(*(self._branch(target) for target in branches))
        if isinstance(node.next, ForEach):
            return ()
        return [edge.target for edge in edges_of(node) if edge.kind == "always"]

    def _branch(self, target: str) -> frozenset[str]:
        return frozenset() if target == END else self.from_node(target)

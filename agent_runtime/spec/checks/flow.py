from __future__ import annotations

from collections.abc import Iterator

from agent_runtime.spec.checks.names import duplicates, repeated
from agent_runtime.spec.checks.problem import Problem
from agent_runtime.spec.edge import ForEach, Handoff
from agent_runtime.spec.graph import START, edges_of, joins_of, reachable, successors
from agent_runtime.spec.scalars import END
from agent_runtime.spec.workflow import WorkflowSpec


def check_flow(workflow: WorkflowSpec, path: str) -> Iterator[Problem]:
    """Targets exist and are named once, every node can be reached, cycles and fan-outs are bounded."""
    yield from _check_lists(workflow, path)
    unknown = (*_check_names(workflow, path), *_check_targets(workflow, path))
    yield from unknown
    if not unknown:
        yield from _check_reach(workflow, path)
        yield from _check_cycles(workflow, path)
    for number, node in enumerate(workflow.nodes):
        if isinstance(node.next, ForEach) and node.next.max is None:
            yield Problem(f"{path}.nodes[{number}].next.max", "set `max`, the largest number of items of the forEach")


def _check_names(workflow: WorkflowSpec, path: str) -> Iterator[Problem]:
    yield from duplicates((node.name for node in workflow.nodes), f"{path}.nodes", "node")
    for number, node in enumerate(workflow.nodes):
        if node.name in (START, END):
            yield Problem(f"{path}.nodes[{number}].name", f"`{node.name}` is taken: give the node another name")


def _check_lists(workflow: WorkflowSpec, path: str) -> Iterator[Problem]:
    yield from repeated(workflow.starts, f"{path}.start")
    for number, node in enumerate(workflow.nodes):
        where = f"{path}.nodes[{number}]"
        yield from repeated(node.needs, f"{where}.needs")
        if isinstance(node.next, tuple):
            yield from repeated(node.next, f"{where}.next")
        elif isinstance(node.next, Handoff):
            yield from repeated(node.next.handoff, f"{where}.next.handoff")


def _check_targets(workflow: WorkflowSpec, path: str) -> Iterator[Problem]:
    names = {node.name for node in workflow.nodes}
    for start in workflow.starts:
        if start not in names:
            yield _unknown(f"{path}.start", start, names)
    for number, node in enumerate(workflow.nodes):
        for edge in edges_of(node):
            if edge.target not in names and (edge.target != END or edge.kind == "each"):
                yield _unknown(f"{path}.nodes[{number}].{edge.path}", edge.target, names)
        for edge in joins_of(node):
            if edge.source not in names:
                yield _unknown(f"{path}.nodes[{number}].{edge.path}", edge.source, names)


def _check_reach(workflow: WorkflowSpec, path: str) -> Iterator[Problem]:
    reached = reachable(successors(workflow), START)
    for number, node in enumerate(workflow.nodes):
        if node.name not in reached:
            yield Problem(
                f"{path}.nodes[{number}]",
                f"node `{node.name}` can't be reached from `start`: let a node's `next` name it, or remove it",
            )


def _check_cycles(workflow: WorkflowSpec, path: str) -> Iterator[Problem]:
    if workflow.limits.steps is not None:
        return
    following = successors(workflow)
    for number, node in enumerate(workflow.nodes):
        if node.name in reachable(following, node.name):
            yield Problem(
                f"{path}.nodes[{number}]",
                f"node `{node.name}` is part of a cycle: set `limits.steps`, the most steps that a run may take",
            )
            return


def _unknown(path: str, name: str, names: set[str]) -> Problem:
    return Problem(path, f"there is no node `{name}` (there are: {', '.join(sorted(names))})")

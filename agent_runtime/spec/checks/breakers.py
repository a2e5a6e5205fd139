from __future__ import annotations

from collections.abc import Iterator

from agent_runtime.spec.agent import AgentSpec
from agent_runtime.spec.breaker import BreakerSpec
from agent_runtime.spec.checks.problem import Problem
from agent_runtime.spec.node import AgentNode


def check_breakers(spec: AgentSpec) -> Iterator[Problem]:
    """What asks the same host or agent says the same of its breaker, since they share it."""
    seen: dict[str, tuple[BreakerSpec, str]] = {}
    for what, breaker, path in _breakers(spec):
        first, where = seen.setdefault(what, (breaker, path))
        if first != breaker:
            yield Problem(path, f"{what} has one breaker, for which `{where}` says something else: write the same")


def _breakers(spec: AgentSpec) -> Iterator[tuple[str, BreakerSpec, str]]:
    for number, sink in enumerate(spec.events.sinks if spec.events else ()):
        if sink.breaker is not None:
            yield sink.dependency, sink.breaker, f"events.sinks[{number}].breaker"
    flows = [("workflow", spec.workflow)] if spec.workflow else []
    for path, flow in [*flows, *((f"workflows[{number}]", flow) for number, flow in enumerate(spec.workflows))]:
        for number, tool in enumerate(flow.tools):
            if tool.http is not None and tool.http.breaker is not None:
                yield f"host {tool.http.host}", tool.http.breaker, f"{path}.tools[{number}].http.breaker"
        for number, node in enumerate(flow.nodes):
            if isinstance(node, AgentNode) and node.breaker is not None:
                yield f"agent {node.with_.ref}", node.breaker, f"{path}.nodes[{number}].breaker"

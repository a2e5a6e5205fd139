"""What can be said of a spec before anything runs.

The same code serves the operator's status, the command line and the start of a pod.
"""

from __future__ import annotations

from collections.abc import Iterator

from agent_runtime.spec.agent import AgentSpec
from agent_runtime.spec.checks.approvals import check_approvals
from agent_runtime.spec.checks.breakers import check_breakers
from agent_runtime.spec.checks.budgets import check_budgets
from agent_runtime.spec.checks.channels import check_channels
from agent_runtime.spec.checks.crons import check_crons
from agent_runtime.spec.checks.events import check_events, check_waits
from agent_runtime.spec.checks.expressions import check_expressions
from agent_runtime.spec.checks.flow import check_flow
from agent_runtime.spec.checks.integrations import check_integrations
from agent_runtime.spec.checks.joins import check_joins
from agent_runtime.spec.checks.mcp import check_mcp_servers
from agent_runtime.spec.checks.models import check_models
from agent_runtime.spec.checks.problem import Problem
from agent_runtime.spec.checks.references import check_references, check_sub_workflows
from agent_runtime.spec.checks.sinks import check_sinks
from agent_runtime.spec.checks.tracing import check_tracing
from agent_runtime.spec.checks.writes import check_writes
from agent_runtime.spec.workflow import WorkflowSpec

__all__ = ["Problem", "check"]


def check(spec: AgentSpec) -> tuple[Problem, ...]:
    """Every problem of a spec, in the order of its text; none means that it can run."""
    return tuple(_problems(spec))


def _problems(spec: AgentSpec) -> Iterator[Problem]:
    if (spec.workflow is None) == (spec.graph is None):
        yield Problem("workflow", "set either `workflow` or `graph`, and not both")
    yield from check_models(spec)
    yield from check_integrations(spec)
    yield from check_mcp_servers(spec)
    yield from check_tracing(spec)
    if spec.workflow is not None:
        yield from _check_workflow(spec, spec.workflow, "workflow")
    yield from check_sub_workflows(spec)
    yield from check_events(spec)
    yield from check_sinks(spec)
    yield from check_breakers(spec)
    yield from check_budgets(spec)
    yield from check_crons(spec)
    for number, workflow in enumerate(spec.workflows):
        yield from _check_workflow(spec, workflow, f"workflows[{number}]")


def _check_workflow(spec: AgentSpec, workflow: WorkflowSpec, path: str) -> Iterator[Problem]:
    yield from check_channels(workflow, path)
    yield from check_references(spec, workflow, path)
    yield from check_approvals(spec, workflow, path)
    yield from check_waits(workflow, path)
    flow = tuple(check_flow(workflow, path))
    yield from flow
    if not flow:
        # Joins and parallel writes are judged along the edges, which have to be sound first.
        yield from check_joins(workflow, path)
        yield from check_writes(spec, workflow, path)
    yield from check_expressions(workflow, path)

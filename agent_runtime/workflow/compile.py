"""A workflow of the spec as a LangGraph graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog
from langgraph.errors import NodeError
from langgraph.graph import StateGraph
from langgraph.types import Command

from agent_runtime.errors import ConfigError
from agent_runtime.spec.approval_node import ApprovalNode
from agent_runtime.spec.emit_node import EmitNode
from agent_runtime.spec.expression import ExpressionError
from agent_runtime.spec.node import AgentNode, ModelNode, SetNode, ToolNode, WorkflowNode
from agent_runtime.spec.scalars import seconds
from agent_runtime.spec.wait_node import WaitNode
from agent_runtime.workflow.attempts import with_fallback
from agent_runtime.workflow.channels import schema
from agent_runtime.workflow.edges import connect, target
from agent_runtime.workflow.nodes import agent, approval, model, set_values, tool
from agent_runtime.workflow.nodes import workflow as sub_workflow
from agent_runtime.workflow.parts import Parts
from agent_runtime.workflow.policies import kind, retry_policy
from agent_runtime.workflow.tools import build as build_tool
from agent_runtime.workflow.tools import measured

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from langgraph.graph.state import CompiledStateGraph

    from agent_runtime.resilience.breakers import Guard
    from agent_runtime.spec.agent import AgentSpec
    from agent_runtime.spec.node import Node
    from agent_runtime.spec.workflow import SubWorkflowSpec, WorkflowSpec
    from agent_runtime.workflow.parts import NodeFunction, Services

log = structlog.get_logger()


def compile_workflow(spec: AgentSpec, services: Services) -> CompiledStateGraph[Any]:
    """The graph of `spec.workflow`, without a checkpointer.

    Raises:
        ConfigError: An expression or a JSON Schema is not valid, or a name leads nowhere.
    """
    if spec.workflow is None:
        raise ConfigError("the config has no workflow")
    subs = {sub.name: sub for sub in spec.workflows}
    try:
        return _compile("agent", spec.workflow, services, subs)
    except (ExpressionError, ValueError, KeyError) as error:
        raise ConfigError(f"the workflow can't be built: {error}") from error


def _compile(
    name: str, workflow: WorkflowSpec, services: Services, subs: Mapping[str, SubWorkflowSpec]
) -> CompiledStateGraph[Any]:
    tools = {spec.name: measured(spec.name, build_tool(spec, services), services) for spec in workflow.tools}
    parts = Parts(workflow, services, tools)
    graph: StateGraph[Any] = StateGraph(schema("State", workflow.state))
    for node in workflow.nodes:
        retry = node.retry or workflow.defaults.retry
        limit = node.timeout or workflow.defaults.timeout
        run = _function(node, parts, subs)
        if node.fallback is not None:
            run, limit = with_fallback(node, node.fallback, run, parts), None
        graph.add_node(  # type: ignore[call-overload] # the overloads want the state as a type known to mypy
            node.name,
            run,
            defer=node.defer,
            retry_policy=retry_policy(retry),
            timeout=seconds(limit) if limit else None,
            error_handler=_handler(node),
        )
    connect(graph, parts)
    return graph.compile(name=name)


def _function(node: Node, parts: Parts, subs: Mapping[str, SubWorkflowSpec]) -> NodeFunction:
    match node:
        case ModelNode():
            return model.build(node, parts)
        case SetNode():
            return set_values.build(node, parts)
        case ToolNode():
            return tool.build(node, parts)
        case AgentNode():
            name = node.with_.ref or node.name
            guard = parts.services.resilience.breakers.guard(f"agent {name}", node.breaker)
            return _routed(agent.build(node, parts), name, guard, parts)
        case ApprovalNode() | EmitNode() | WaitNode():
            return _of_others(node, parts)
        case WorkflowNode():
            sub = subs[node.with_.ref]
            others = {name: spec for name, spec in subs.items() if name != sub.name}
            return sub_workflow.build(sub, _compile(sub.name, sub, parts.services, others), parts)


def _routed(run: NodeFunction, name: str, guard: Guard, parts: Parts) -> NodeFunction:
    async def routed(state: dict[str, Any]) -> Any:
        await parts.route(name)
        async with guard():
            return await run(state)

    return routed


def _of_others(node: ApprovalNode | EmitNode | WaitNode, parts: Parts) -> NodeFunction:
    """A node that tells others something, or waits for them."""
    if isinstance(node, ApprovalNode):
        return approval.build(node, parts)
    from agent_runtime.workflow.nodes import emit, wait  # noqa: PLC0415 - only what is used is loaded

    return emit.build(node, parts) if isinstance(node, EmitNode) else wait.build(node, parts)


def _handler(node: Node) -> Callable[..., Any] | None:
    on_error = target(node.on_error) if node.on_error else None
    if on_error is None and not (isinstance(node, WaitNode) and node.with_.on_timeout):
        return None

    async def handle(state: dict[str, Any], error: NodeError) -> Command[Any]:  # noqa: ARG001 - LangGraph passes the state
        # What a wait says of the end of its time comes before what it says of failures.
        goto = getattr(error.error, "goto", None) or on_error
        if goto is None:
            raise error.error
        log.warning(
            "node failed, going on",
            node=error.node,
            goto=goto,
            error=kind(error.error) or type(error.error).__name__,
            quoted=str(error.error),
        )
        return Command(goto=goto)

    # LangGraph looks for the type itself, not for its name, to know that the handler wants the error.
    handle.__annotations__["error"] = NodeError
    return handle

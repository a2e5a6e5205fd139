from __future__ import annotations

from collections.abc import Iterator

from agent_runtime.spec.agent import AgentSpec
from agent_runtime.spec.approval_node import ApprovalNode
from agent_runtime.spec.checks.headers import check_headers
from agent_runtime.spec.checks.integrations import check_integration_tool
from agent_runtime.spec.checks.names import duplicates
from agent_runtime.spec.checks.problem import Problem
from agent_runtime.spec.edge import Handoff
from agent_runtime.spec.emit_node import EmitNode
from agent_runtime.spec.node import AgentNode, AgentParams, ModelNode, Node, SetNode, ToolNode, WorkflowNode
from agent_runtime.spec.tool import HTTPTool, ToolSpec
from agent_runtime.spec.wait_node import WaitNode
from agent_runtime.spec.workflow import WorkflowSpec


def check_references(spec: AgentSpec, workflow: WorkflowSpec, path: str) -> Iterator[Problem]:
    """Models, tools, sub-workflows and channels that nodes name exist."""
    for number, tool in enumerate(workflow.tools):
        yield from _check_tool(spec, tool, f"{path}.tools[{number}]")
    yield from duplicates((tool.name for tool in workflow.tools), f"{path}.tools", "tool")
    for number, node in enumerate(workflow.nodes):
        where = f"{path}.nodes[{number}]"
        yield from _check_node(spec, workflow, node, where)
        yield from _check_channel(workflow, node, where)
        yield from _check_fallback(workflow, node, where)
        if isinstance(node.next, Handoff) and not isinstance(node, ModelNode):
            yield Problem(f"{where}.next.handoff", f"only a node with `uses: model` can hand over; `{node.name}` can't")


def check_sub_workflows(spec: AgentSpec) -> Iterator[Problem]:
    """Sub-workflows have names of their own and never run themselves."""
    yield from duplicates((workflow.name for workflow in spec.workflows), "workflows", "sub-workflow")
    runs = {
        workflow.name: {node.with_.ref for node in workflow.nodes if isinstance(node, WorkflowNode)}
        for workflow in spec.workflows
    }
    for number, workflow in enumerate(spec.workflows):
        seen: set[str] = set()
        waiting = [workflow.name]
        while waiting:
            new = runs.get(waiting.pop(), set()) - seen
            seen |= new
            waiting += new
        if workflow.name in seen:
            yield Problem(
                f"workflows[{number}]",
                f"`{workflow.name}` runs itself: remove one of the `workflow` nodes on the way",
            )


def _check_node(spec: AgentSpec, workflow: WorkflowSpec, node: Node, where: str) -> Iterator[Problem]:
    tools = {tool.name for tool in workflow.tools}
    if isinstance(node, ModelNode):
        models = {model.name for model in spec.models}
        if node.with_.model not in models:
            yield _unknown(f"{where}.with.model", "model", node.with_.model, models, "spec.models")
        for tool in node.with_.tools:
            if tool not in tools:
                yield _unknown(f"{where}.with.tools", "tool", tool, tools, "the workflow's tools")
    elif isinstance(node, ToolNode) and node.with_.tool not in tools:
        yield _unknown(f"{where}.with.tool", "tool", node.with_.tool, tools, "the workflow's tools")
    elif isinstance(node, WorkflowNode):
        names = {sub.name for sub in spec.workflows}
        if node.with_.ref not in names:
            yield _unknown(f"{where}.with.ref", "sub-workflow", node.with_.ref, names, "spec.workflows")
    elif isinstance(node, AgentNode):
        yield from _check_agent(node.with_, f"{where}.with")


def _check_agent(params: AgentParams, where: str) -> Iterator[Problem]:
    if (params.ref is None) == (params.url is None):
        yield Problem(where, "set exactly one of `ref` and `url`")
    if params.bearer_token_secret_ref is not None and params.url is None:
        yield Problem(
            f"{where}.bearerTokenSecretRef",
            "remove it, or set `url`: agents of the cluster know each other by their certificates",
        )


def _check_channel(workflow: WorkflowSpec, node: Node, where: str) -> Iterator[Problem]:
    if isinstance(node, SetNode):
        for name in node.with_.values:
            if name not in workflow.state:
                yield _unknown(
                    f"{where}.with.values.{name}",
                    "channel",
                    name,
                    set(workflow.state),
                    "the workflow's state",
                )
    elif isinstance(node, ModelNode | AgentNode | ToolNode | ApprovalNode | EmitNode | WaitNode):
        save = node.with_.save
        if save is not None and save not in workflow.state:
            yield _unknown(f"{where}.with.save", "channel", save, set(workflow.state), "the workflow's state")
    if isinstance(node, ModelNode | AgentNode) and (node.with_.save is None or node.with_.input is None):
        channel = workflow.state.get("messages")
        if channel is None or channel.type != "messages":
            yield Problem(
                f"{where}.with",
                "set `input` and `save`, or add `messages: {type: messages}` to the workflow's state",
            )


def _check_fallback(workflow: WorkflowSpec, node: Node, where: str) -> Iterator[Problem]:
    if node.fallback is not None and node.on_error is not None:
        yield Problem(f"{where}.fallback", "set either `fallback` or `onError`, and not both")
    for name in node.fallback or ():
        if name not in workflow.state:
            yield _unknown(f"{where}.fallback.{name}", "channel", name, set(workflow.state), "the workflow's state")


def _check_tool(spec: AgentSpec, tool: ToolSpec, where: str) -> Iterator[Problem]:
    if [tool.http, tool.integration, tool.mcp].count(None) != 2:  # noqa: PLR2004 - of three
        yield Problem(where, "set exactly one of `http`, `integration` and `mcp`")
    if tool.http is not None:
        yield from _check_http(tool, tool.http, f"{where}.http")
    if tool.integration is not None:
        yield from check_integration_tool(tool, tool.integration, where)
    if tool.mcp is not None:
        servers = {server.name for server in spec.mcp_servers}
        if tool.mcp.server not in servers:
            yield _unknown(f"{where}.mcp.server", "MCP server", tool.mcp.server, servers, "spec.mcpServers")


def _check_http(tool: ToolSpec, http: HTTPTool, where: str) -> Iterator[Problem]:
    yield from check_headers(http, where)
    known = set(tool.parameters.get("properties", {}))
    for name in http.arguments_in_url:
        if name not in known:
            yield _unknown(f"{where}.url", "argument", name, known, "`parameters.properties`")


def _unknown(path: str, noun: str, name: str, known: set[str], home: str) -> Problem:
    have = f" (there are: {', '.join(sorted(known))})" if known else ""
    return Problem(path, f"there is no {noun} `{name}` in {home}{have}: correct the name or add it")

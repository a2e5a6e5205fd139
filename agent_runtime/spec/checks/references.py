from __future__ import annotations

from collections.abc import Iterator

from agent_runtime.spec.agent import AgentSpec
from agent_runtime.spec.checks.names import duplicates
from agent_runtime.spec.checks.problem import Problem
from agent_runtime.spec.edge import Handoff
from agent_runtime.spec.node import AgentNode, ModelNode, Node, SetNode, ToolNode, WorkflowNode
from agent_runtime.spec.tool import SECRET_HEADERS, TAKEN_HEADERS, ToolSpec
from agent_runtime.spec.workflow import WorkflowSpec


def check_references(spec: AgentSpec, workflow: WorkflowSpec, path: str) -> Iterator[Problem]:
    """Models, tools, sub-workflows and channels that nodes name exist."""
    for number, tool in enumerate(workflow.tools):
        yield from _check_tool(tool, f"{path}.tools[{number}]")
    yield from duplicates((tool.name for tool in workflow.tools), f"{path}.tools", "tool")
    for number, node in enumerate(workflow.nodes):
        where = f"{path}.nodes[{number}]"
        yield from _check_node(spec, workflow, node, where)
        yield from _check_channel(workflow, node, where)
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
    elif isinstance(node, ModelNode | AgentNode | ToolNode):
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


def _check_tool(tool: ToolSpec, where: str) -> Iterator[Problem]:
    yield from _check_headers(tool, f"{where}.http.headers")
    yield from _check_api_key(tool, f"{where}.http.apiKeyHeader")
    known = set(tool.parameters.get("properties", {}))
    for name in tool.http.arguments_in_url:
        if name not in known:
            yield _unknown(f"{where}.http.url", "argument", name, known, "`parameters.properties`")


def _check_headers(tool: ToolSpec, where: str) -> Iterator[Problem]:
    for name in tool.http.headers:
        if name.lower() in SECRET_HEADERS:
            yield Problem(where, f"`{name}` carries a secret: remove it, and set `bearerTokenSecretRef`")
        elif name.lower() in TAKEN_HEADERS:
            yield Problem(where, f"`{name}` is set by the runtime: remove it")


def _check_api_key(tool: ToolSpec, where: str) -> Iterator[Problem]:
    name = tool.http.api_key_header.lower()
    if tool.http.api_key_secret_ref is None:
        return
    if name in SECRET_HEADERS:
        yield Problem(where, f"`{tool.http.api_key_header}` takes no API key: set `bearerTokenSecretRef`")
    elif name in TAKEN_HEADERS:
        yield Problem(where, f"`{tool.http.api_key_header}` is set by the runtime: name another header")
    elif name in {each.lower() for each in tool.http.headers}:
        yield Problem(where, f"`{tool.http.api_key_header}` stands in `headers` as well: remove it there")


def _unknown(path: str, noun: str, name: str, known: set[str], home: str) -> Problem:
    have = f" (there are: {', '.join(sorted(known))})" if known else ""
    return Problem(path, f"there is no {noun} `{name}` in {home}{have}: correct the name or add it")

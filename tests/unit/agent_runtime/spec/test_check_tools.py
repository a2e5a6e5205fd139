"""Problems of tools, each with its place."""

import pytest

from agent_runtime.spec.checks import check
from unit.agent_runtime.spec_text import spec

TOOL_HEADER = """
workflow:
  start: a
  nodes: [{name: a, uses: model}]
  tools: [{name: t, http: {url: "http://h", headers: {%s: x}}}]
"""
TOOL_KEY = """
workflow:
  start: a
  nodes: [{name: a, uses: model}]
  tools:
  - name: t
    http: {url: "http://h", headers: {X-Tenant: x}, apiKeySecretRef: {name: crm, key: key}, apiKeyHeader: %s}
"""

INTEGRATION = """
integrations: %s
models: [{name: default, provider: scripted, script: [{reply: x}]}]
workflow:
  start: a
  nodes: [{name: a, uses: model}]
  tools: [{name: t, %s}]
"""
MCP = """
mcpServers: [%s]
models: [{name: default, provider: scripted, script: [{reply: x}]}]
workflow:
  start: a
  nodes: [{name: a, uses: model}]
  tools: [{name: t, mcp: {server: %s, tool: find}}]
"""
SMS = "integration: {name: communications, operation: send_sms}"

TOOLS = {
    "an MCP server that there is not": (
        MCP % ("{name: tickets, url: 'http://t/mcp'}", "ticket"),
        "workflow.tools[0].mcp.server",
        "there is no MCP server `ticket` in spec.mcpServers (there are: tickets)",
    ),
    "two MCP servers of a name": (
        MCP % ("{name: t, url: 'http://t/mcp'}, {name: t, url: 'http://u/mcp'}", "t"),
        "mcpServers[1].name",
        "there is another MCP server `t`",
    ),
    "TLS for an address without": (
        MCP % ("{name: t, url: 'http://t/mcp', tls: {caSecretRef: {name: a, key: b}}}", "t"),
        "mcpServers[0].tls",
        "write `url` with `https`",
    ),
    "a secret in a header of an MCP server": (
        MCP % ("{name: t, url: 'http://t/mcp', headers: {Cookie: x}}", "t"),
        "mcpServers[0].headers",
        "move it to `secretHeaders`",
    ),
    "a header of the protocol": (
        MCP % ("{name: t, url: 'http://t/mcp', headers: {Mcp-Session-Id: x}}", "t"),
        "mcpServers[0].headers",
        "is set by the runtime",
    ),
    "a header that is set twice": (
        MCP
        % (
            (
                "{name: t, url: 'http://t/mcp', bearerTokenSecretRef: {name: a, key: b}, "
                "secretHeaders: [{name: Authorization, secretKeyRef: {name: a, key: b}}]}"
            ),
            "t",
        ),
        "mcpServers[0].secretHeaders[0].name",
        "is set twice",
    ),
    "neither request nor operation": (
        INTEGRATION % ("{}", "description: nothing"),
        "workflow.tools[0]",
        "exactly one of `http`, `integration` and `mcp`",
    ),
    "both request and operation": (
        INTEGRATION % ("{}", "http: {url: 'http://h'}, " + SMS),
        "workflow.tools[0]",
        "exactly one of `http`, `integration` and `mcp`",
    ),
    "operation of another integration": (
        INTEGRATION % ("{}", "integration: {name: crm, operation: send_sms}"),
        "workflow.tools[0].integration.operation",
        "`crm` has no operation `send_sms` (there are: create_contact,",
    ),
    "parameters of an operation": (
        INTEGRATION % ("{}", "parameters: {type: object, properties: {}}, " + SMS),
        "workflow.tools[0].parameters",
        "remove `parameters`",
    ),
    "key without an address": (
        INTEGRATION % ("{crm: {apiKeySecretRef: {name: crm, key: key}}}", SMS),
        "integrations.crm.apiKeySecretRef",
        "belongs to `baseURL`, which is missing",
    ),
    "embedding by a model that isn't there": (
        INTEGRATION % ("{knowledgeBase: {embeddingModel: other}}", SMS),
        "integrations.knowledgeBase.embeddingModel",
        "there is no model `other`",
    ),
    "embedding by a scripted model": (
        INTEGRATION % ("{knowledgeBase: {embeddingModel: default}}", SMS),
        "integrations.knowledgeBase.embeddingModel",
        "name one with `provider: openai`",
    ),
    "embedding for a service that searches itself": (
        INTEGRATION % ("{knowledgeBase: {embeddingModel: default, baseURL: 'http://h'}}", SMS),
        "integrations.knowledgeBase.embeddingModel",
        "a search of its own",
    ),
    "argument that the tool doesn't have": (
        "workflow: {start: a, nodes: [{name: a, uses: model}], tools: [{name: t, http: {url: 'http://h/{id}'}}]}",
        "workflow.tools[0].http.url",
        "no argument `id`",
    ),
    "secret header of a tool": (
        TOOL_HEADER % "Authorization",
        "workflow.tools[0].http.headers",
        "carries a secret: remove it, and set `bearerTokenSecretRef`",
    ),
    "API key in the header of tokens": (
        TOOL_KEY % "Authorization",
        "workflow.tools[0].http.apiKeyHeader",
        "takes no API key: set `bearerTokenSecretRef`",
    ),
    "API key in a header of the runtime's": (
        TOOL_KEY % "Idempotency-Key",
        "workflow.tools[0].http.apiKeyHeader",
        "is set by the runtime",
    ),
    "API key in a header that is set": (
        TOOL_KEY % "x-tenant",
        "workflow.tools[0].http.apiKeyHeader",
        "stands in `headers` as well",
    ),
    "header that is not the tool's own": (
        TOOL_HEADER % "Transfer-Encoding",
        "workflow.tools[0].http.headers",
        "is set by the runtime",
    ),
}


@pytest.mark.parametrize(("text", "path", "message"), TOOLS.values(), ids=TOOLS.keys())
def test_a_problem_of_a_tool_is_named_with_its_place(text, path, message):
    problems = check(spec(text))
    assert [problem.path for problem in problems] == [path], problems
    assert message in problems[0].message

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

TOOLS = {
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

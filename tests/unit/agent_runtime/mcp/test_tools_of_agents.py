"""Agents whose workflows use MCP servers."""

import httpx

from fakes.agents import last_text, person, running
from fakes.authority import Authority
from fakes.mcp_server import mcp_server

ADD = {"name": "sum", "mcp": {"server": "sums", "tool": "add"}}


def by_node(url: str, **server: object) -> dict[str, object]:
    return {
        "mcpServers": [{"name": "sums", "url": url, "timeout": "5s", **server}],
        "workflow": {
            "state": {"wish": {"type": "integer"}, "sum": {"type": "object"}},
            "start": "add",
            "tools": [ADD],
            "nodes": [
                {
                    "name": "add",
                    "uses": "tool",
                    "with": {"tool": "sum", "arguments": {"a": "state.wish", "b": "1"}, "save": "sum"},
                    "next": "end",
                }
            ],
        },
    }


def by_model(url: str) -> dict[str, object]:
    script = [
        {"when": "last.contains('total')", "reply": "It is {{ last }}"},
        {"when": "last.contains('Error')", "reply": "I failed: {{ last }}"},
        {"when": "last == 'bad'", "toolCalls": [{"name": "sum", "arguments": {"a": "x"}}]},
        {"toolCalls": [{"name": "sum", "arguments": {"a": 2, "b": 3}}]},
    ]
    return {
        "mcpServers": [{"name": "sums", "url": url}],
        "models": [{"name": "default", "provider": "scripted", "script": script}],
        "workflow": {
            "state": {"messages": {"type": "messages"}},
            "start": "answer",
            "tools": [ADD],
            "nodes": [{"name": "answer", "uses": "model", "with": {"tools": ["sum"]}, "next": "end"}],
        },
    }


async def test_a_node_uses_a_tool_and_it_is_counted():
    async with mcp_server() as fake, running(by_node(fake.url)) as it:
        values = await it.client.runs.wait(None, "agent", input={"wish": 41})
        async with httpx.AsyncClient() as http:
            metrics = (await http.get(f"{it.url}/metrics")).text
            health = (await http.get(f"{it.url}/health/dependencies")).text
    assert values["sum"] == {"total": 42}
    assert 'apm_agent_mcp_calls_total{result="success",server="sums"} 1.0' in metrics
    assert 'apm_agent_mcp_tools{server="sums"} 6.0' in metrics
    assert "sums" in health


async def test_a_model_uses_a_tool_and_hears_what_was_wrong():
    async with mcp_server() as fake, running(by_model(fake.url)) as it:
        good = await it.client.runs.wait(None, "agent", input=person("add"))
        bad = await it.client.runs.wait(None, "agent", input=person("bad"))
    assert last_text(good).startswith('It is {"total":')
    assert last_text(bad).startswith("I failed: Error: the arguments of tool sum don't fit")
    assert len(fake.of("tools/call")) == 1


async def test_a_server_that_is_away_fails_the_run_and_not_the_agent():
    async with running(by_node("http://127.0.0.1:9/mcp", maxAttempts=1)) as it:
        ended = await it.client.runs.wait(None, "agent", input={"wish": 1}, raise_error=False)
    assert ended["__error__"]["error"] == "Connection"
    assert ended["__error__"]["message"].startswith("no connection to MCP server sums")


async def test_a_server_with_a_certificate_of_an_authority_of_ones_own(tmp_path):
    authority, other = Authority(), Authority("other")
    chain, key = authority.issue()
    (tmp_path / "chain").write_text(chain)
    (tmp_path / "key").write_text(key)
    (tmp_path / "ca").mkdir()
    (tmp_path / "ca" / "good").write_text(authority.pem)
    (tmp_path / "ca" / "bad").write_text(other.pem)
    files = {"ssl_certfile": str(tmp_path / "chain"), "ssl_keyfile": str(tmp_path / "key")}
    async with mcp_server(config=files) as fake:
        good = by_node(fake.url, tls={"caSecretRef": {"name": "ca", "key": "good"}})
        async with running(good, secrets=tmp_path) as it, httpx.AsyncClient() as http:
            assert (await it.client.runs.wait(None, "agent", input={"wish": 1}))["sum"] == {"total": 2}
            health = (await http.get(f"{it.url}/health/dependencies")).json()
            assert {each["name"]: each["status"] for each in health["dependencies"]}["sums"] == "healthy"
        bad = by_node(fake.url, tls={"caSecretRef": {"name": "ca", "key": "bad"}}, maxAttempts=1)
        async with running(bad, secrets=tmp_path) as it:
            ended = await it.client.runs.wait(None, "agent", input={"wish": 1}, raise_error=False)
            assert "its certificate is refused" in ended["__error__"]["message"]

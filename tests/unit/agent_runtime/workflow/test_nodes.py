"""Nodes that talk to the world: tools and other agents."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from agent_runtime.workflow.peer import HOPS_HEADER, MAX_HOPS
from fakes.agents import CHAT, ECHO, last_text, person, running
from fakes.openai_server import Answer, openai_server
from fakes.tool_server import tool_server

ASK = {"start": "ask", "nodes": [{"name": "ask", "uses": "agent", "with": {"ref": "other"}, "next": "end"}]}


def _with_tool(url: str, llm: str, rounds: int = 3) -> dict[str, Any]:
    parameters = {"type": "object", "properties": {"number": {"type": "string"}}, "required": ["number"]}
    tool = {"name": "order", "parameters": parameters, "http": {"method": "GET", "url": f"{url}/orders/{{number}}"}}
    node = {"name": "answer", "uses": "model", "with": {"tools": ["order"], "maxToolRounds": rounds}, "next": "end"}
    return {
        "models": [{"name": "default", "model": "m", "baseURL": llm}],
        "workflow": {"start": "answer", "tools": [tool], "nodes": [node]},
    }


async def test_a_model_calls_a_tool_and_answers_with_what_it_learnt():
    call = Answer(calls=(("order", '{"number": "7"}'),))
    async with (
        tool_server(answer={"state": "sent"}) as service,
        openai_server(call, Answer("It was sent.")) as llm,
        running(_with_tool(service.url, llm.url)) as it,
    ):
        values = await it.client.runs.wait(None, "agent", input=person("Where is 7?"))
    assert [message["type"] for message in values["messages"]] == ["human", "ai", "tool", "ai"]
    assert last_text(values) == "It was sent."
    assert service.calls[0].path == "/orders/7"
    assert json.loads(llm.requests[1]["messages"][-1]["content"]) == {"state": "sent"}
    assert llm.requests[0]["tools"][0]["function"]["name"] == "order"


async def test_a_model_is_told_what_was_wrong_with_its_call():
    calls = [Answer(calls=(("order", '{"number": 7}'),)), Answer(calls=(("nothing", "{}"),)), Answer("Sorry.")]
    async with (
        tool_server() as service,
        openai_server(*calls) as llm,
        running(_with_tool(service.url, llm.url)) as it,
    ):
        values = await it.client.runs.wait(None, "agent", input=person("Where is 7?"))
    told = [message["content"] for message in values["messages"] if message["type"] == "tool"]
    assert "7 is not of type 'string'" in told[0]
    assert told[1] == "Error: there is no tool nothing"
    assert service.calls == []


async def test_a_model_that_never_stops_calling_tools_is_stopped():
    call = Answer(calls=(("order", '{"number": "7"}'),))
    async with (
        tool_server() as service,
        openai_server(call) as llm,
        running(_with_tool(service.url, llm.url, rounds=2)) as it,
    ):
        with pytest.raises(Exception, match="still calls tools after 2 rounds"):
            await it.client.runs.wait(None, "agent", input=person("Where is 7?"))
    assert len(service.calls) == 2


async def test_a_tool_node_saves_the_answer():
    async with tool_server(answer={"state": "sent"}) as service:
        spec = {
            "workflow": {
                "state": {"number": {"type": "string"}, "order": {"type": "object"}},
                "start": "look",
                "tools": [{"name": "order", "http": {"url": f"{service.url}/orders"}}],
                "nodes": [
                    {
                        "name": "look",
                        "uses": "tool",
                        "with": {"tool": "order", "arguments": {"number": "state.number"}, "save": "order"},
                        "next": "end",
                    }
                ],
            }
        }
        async with running(spec) as it:
            values = await it.client.runs.wait(None, "agent", input={"number": "7"})
    assert values["order"] == {"state": "sent"}
    assert json.loads(service.calls[0].body) == {"number": "7"}


async def test_an_agent_asks_another_one_in_one_lasting_thread():
    async with (
        running({"models": [ECHO], "workflow": CHAT}, name="other") as other,
        running({"workflow": ASK}, peers={"other": other.url}) as it,
    ):
        thread = (await it.client.threads.create())["thread_id"]
        for text in ("one", "two"):
            values = await it.client.runs.wait(thread, "agent", input=person(text))
        there = await other.client.threads.search()
    assert last_text(values) == "You said: two"
    assert values["messages"][-1]["name"] == "other"
    assert len(there) == 1
    assert len(there[0]["values"]["messages"]) == 4


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_headers_for_tracing_go_to_the_other_agent():
    async with (
        tool_server(answer={"jsonrpc": "2.0", "result": {"message": {"parts": [{"text": "hi"}]}}}) as other,
        running({"workflow": ASK}, peers={"other": other.url}) as it,
    ):
        headers = {"traceparent": TRACE, "tracestate": "v=" + "x" * 600, HOPS_HEADER: "2", "authorization": "Bearer x"}
        await it.client.runs.wait(None, "agent", input=person("hi"), headers=headers)
    sent = other.calls[0].headers
    assert sent["traceparent"] == TRACE
    assert "tracestate" not in sent, "only what has the form of Trace Context goes on"
    assert sent[HOPS_HEADER] == "3"
    assert "authorization" not in sent
    assert sent["idempotency-key"]


async def test_a_cycle_of_agents_ends():
    async with running({"workflow": ASK}, peers={"other": "http://127.0.0.1:9"}) as it:
        with pytest.raises(Exception, match="look for a cycle between agents"):
            await it.client.runs.wait(None, "agent", input=person("hi"), headers={HOPS_HEADER: str(MAX_HOPS)})
        async with httpx.AsyncClient() as http:
            body = {"assistant_id": "agent", "input": person("hi")}
            answer = await http.post(f"{it.url}/runs/wait", json=body, headers={HOPS_HEADER: str(MAX_HOPS + 1)})
    assert answer.status_code == 422


async def test_the_other_agents_failure_is_named():
    failing = {"start": "a", "nodes": [{"name": "a", "uses": "set", "with": {"values": {"messages": "7"}}}]}
    async with (
        running({"workflow": failing}, name="other") as other,
        running({"workflow": ASK}, peers={"other": other.url}) as it,
    ):
        with pytest.raises(Exception, match="the run of agent other failed: channel `messages`"):
            await it.client.runs.wait(None, "agent", input=person("hi"))


async def test_a_flood_of_tool_calls_is_cut():
    call = Answer(calls=(("order", '{"number": "7"}'),) * 100)
    async with (
        tool_server() as service,
        openai_server(call, Answer("Done.")) as llm,
        running(_with_tool(service.url, llm.url)) as it,
    ):
        values = await it.client.runs.wait(None, "agent", input=person("Where is 7?"))
    told = [message for message in values["messages"] if message["type"] == "tool"]
    assert len(service.calls) == 64
    assert len(told) == 100
    assert told[-1]["content"] == "Error: not called: an answer may have 64 calls"


async def test_an_answer_that_does_not_fit_is_not_quoted():
    output = {"type": "object", "required": ["topic"], "properties": {"topic": {"enum": ["a"]}}}
    node = {"name": "ask", "uses": "model", "with": {"output": output, "save": "found"}}
    state = {"messages": {"type": "messages"}, "found": {"type": "any"}}
    async with openai_server(Answer('{"topic": "private"}')) as llm:
        models = [{"name": "default", "model": "m", "baseURL": llm.url}]
        workflow = {"state": state, "start": "ask", "nodes": [node]}
        async with running({"models": models, "workflow": workflow}) as it:
            values: Any = await it.client.runs.wait(None, "agent", input=person("hi"), raise_error=False)
    message = values["__error__"]["message"]
    assert message.endswith("does not fit `output`: topic: it breaks the schema's `enum`")

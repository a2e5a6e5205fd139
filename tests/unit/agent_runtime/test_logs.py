"""No log line quotes what users, models and services say, unless asked to."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from agent_runtime.logs import place
from fakes.agents import config
from fakes.processes import program

MARK = "marked-words-of-a-person"
MODELS = [{"name": "default", "provider": "scripted", "script": [{"reply": "{{ string(int(last)) }}"}]}]
STATE = {"messages": {"type": "messages"}, "text": {"type": "string"}, "n": {"type": "integer"}}


def _workflow(node: dict[str, Any], **parts: Any) -> dict[str, Any]:
    last = {"name": "last", "uses": "set", "with": {"values": {"n": "state.text == '' ? 1 : 2"}}}
    return {
        "models": MODELS,
        "workflow": {"state": STATE, "start": "a", "nodes": [{"name": "a", **node}, last], **parts},
    }


OWN = {"graph": "fakes.talkative:graph"}
EXPRESSION = _workflow({"uses": "set", "with": {"values": {"n": "int(state.text)"}}, "next": "last"})
GOES_ON = _workflow(
    {"uses": "set", "with": {"values": {"n": "{'a': 1}[state.text]"}}, "onError": "last", "next": "last"}
)
MODEL = _workflow({"uses": "model", "next": "last", "retry": {"errors": ["Any"], "initial": "0s", "max": "1ms"}})
TOOL = _workflow(
    {"uses": "tool", "with": {"tool": "t", "arguments": {"n": "state.text"}}, "next": "last"},
    tools=[
        {
            "name": "t",
            "parameters": {"type": "object", "properties": {"n": {"type": "integer"}}},
            "http": {"url": "http://127.0.0.1:9/", "maxAttempts": 2},
        }
    ],
)


def _fail(url: str) -> None:
    given = {"text": MARK, "messages": [{"role": "user", "content": MARK}]}
    # A server that failed closes the connection.
    with httpx.Client(base_url=url, timeout=30, limits=httpx.Limits(max_keepalive_connections=0)) as http:
        thread = http.post("/threads", json={}).json()["thread_id"]
        channels = http.get("/assistants/agent/schemas").json()["input_schema"]["properties"]
        body = {"assistant_id": "agent", "input": {name: given[name] for name in channels if name in given}}
        assert http.post(f"/threads/{thread}/runs/wait", json=body).status_code == 200
        http.post(f"/threads/{thread}/state", json={"values": {"text": f"reducer {MARK}"}})
        http.post(f"/threads/{thread}/runs/wait", content=f'{{"{MARK}')
        http.post(f"/threads/{thread}/runs/wait", json={**body, "input": {"text": [MARK], MARK: 1}})


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (OWN, ["run failed", "talkative.py", '"node": "talk"', "a thread failed", "a task failed unseen"]),
        (EXPRESSION, ["run ended", "ExpressionError", '"node": "a"']),
        (GOES_ON, ["node failed, going on", "ExpressionError"]),
        (MODEL, ["run ended", "ExpressionError"]),
        (TOOL, ["run ended", "Refused"]),
    ],
    ids=["own graph", "expression", "going on", "model", "tool"],
)
def test_logs_tell_what_failed_and_where_and_not_what_was_said(tmp_path, spec, told):
    with program(tmp_path, config(spec)) as it:
        _fail(it.url)
    assert MARK not in it.output
    assert [words for words in told if words not in it.output] == []
    assert all(json.loads(line)["event"] for line in it.output.splitlines())


def test_at_level_debug_they_tell_all(tmp_path):
    with program(tmp_path, config(OWN), APM_LOG_LEVEL="debug") as it:
        _fail(it.url)
    assert MARK in it.output


def test_the_place_of_a_failure_names_its_causes():
    try:
        try:
            int(MARK)
        except ValueError as error:
            raise LookupError(MARK) from error
    except LookupError as error:
        lines = place(error).splitlines()
    assert [line for line in lines if not line.startswith(" ")] == ["builtins.LookupError", "builtins.ValueError"]
    assert lines[1].endswith("test_the_place_of_a_failure_names_its_causes")
    assert MARK not in "".join(lines)

from __future__ import annotations

import re

import pytest

from agent_runtime.errors import WorkflowError
from agent_runtime.spec.channel import ChannelSpec
from agent_runtime.workflow.channels import fit
from agent_runtime.workflow.view import state_view
from fakes.agents import running


@pytest.mark.parametrize(
    ("kind", "reduce", "value", "kept"),
    [
        ("string", None, "a", "a"),
        ("string", None, None, None),
        ("integer", None, 3.0, 3),
        ("number", None, 3, 3),
        ("boolean", None, True, True),
        ("array", "append", "one", ["one"]),
        ("array", "append", ["one"], ["one"]),
        ("object", "merge", {"a": 1}, {"a": 1}),
        ("any", None, object, object),
    ],
)
def test_values_that_fit(kind, reduce, value, kept):
    assert fit("c", ChannelSpec(type=kind, reduce=reduce), value) == kept


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        ("string", 1, "channel `c` is of type string and can't keep an integer"),
        ("integer", 1.5, "can't keep a number"),
        ("integer", True, "can't keep a boolean"),
        ("number", "1", "can't keep a string"),
        ("boolean", 0, "can't keep an integer"),
        ("array", {}, "can't keep an object"),
        ("object", [], "can't keep an array"),
        ("messages", 7, "takes messages"),
        ("messages", [{"role": "nobody", "content": "x"}], "takes messages"),
    ],
)
def test_values_that_do_not_fit(kind, value, message):
    with pytest.raises(WorkflowError, match=message):
        fit("c", ChannelSpec(type=kind), value)


@pytest.mark.parametrize(
    ("channel", "expression", "given"),
    [
        ({"type": "string"}, "state.x + state.x", "x" * 1000),
        ({"type": "array", "reduce": "append"}, "state.x", ["x" * 1000]),
        ({"type": "object", "reduce": "merge"}, "{string(size(state.x)): state.x}", {"x": "x" * 1000}),
        ({"type": "messages"}, "[{'role': 'user', 'content': state.x.map(m, m.content).join()}]", "x" * 1000),
    ],
    ids=["replace", "append", "merge", "messages"],
)
async def test_a_channel_that_grows_in_a_loop_ends_the_run_and_not_the_pod(channel, expression, given):
    node = {"name": "a", "uses": "set", "with": {"values": {"x": expression}}, "next": "a"}
    workflow = {"state": {"x": channel}, "start": "a", "limits": {"steps": 10_000}, "nodes": [node]}
    async with running({"workflow": workflow}) as it:
        values = await it.client.runs.wait(None, "agent", input={"x": given}, raise_error=False)
    # The first expression is refused before its value gets to the channel.
    known = r"channel `x` can't keep more than 4 MiB: write less to it|`state.x \+ state.x` can't .* more than 4 MiB"
    assert re.match(known, values["__error__"]["message"])


async def test_a_for_each_over_a_large_state_ends_the_run_and_not_the_pod():
    each = {"forEach": "state.items", "to": "b", "max": 1000}
    nodes = [
        {"name": "a", "uses": "set", "with": {"values": {"n": "1"}}, "next": each},
        {"name": "b", "uses": "set", "with": {"values": {"n": "1"}}, "next": "end"},
    ]
    state = {"n": {"type": "integer", "reduce": "sum"}, "items": {"type": "array"}, "text": {"type": "string"}}
    async with running({"workflow": {"state": state, "start": "a", "nodes": nodes}}) as it:
        values = await it.client.runs.wait(
            None, "agent", input={"items": [1] * 1000, "text": "x" * 100_000}, raise_error=False
        )
        assert "would copy more than 64 MiB" in values["__error__"]["message"]
        assert (await it.client.runs.wait(None, "agent", input={"items": [1] * 9, "text": "x" * 100_000}))["n"] == 10


def test_expressions_see_a_value_for_every_channel():
    channels = {
        "messages": ChannelSpec(type="messages"),
        "topic": ChannelSpec(type="string"),
        "n": ChannelSpec(type="integer", default=4),
    }
    view = state_view({"messages": [("user", "hi")], "item": 1}, channels)
    assert view["messages"] == [{"role": "user", "content": "hi", "name": "", "id": ""}]
    assert (view["topic"], view["n"], view["item"]) == ("", 4, 1)

"""What a sub-workflow may take and what it gives back."""

from __future__ import annotations

from typing import Any

import pytest

from fakes.agents import running


def _spec(outer: str | None, inner: str | None, *, limits: dict[str, Any], following: str = "end") -> dict[str, Any]:
    def channels(reduce: str | None) -> dict[str, Any]:
        return {"n": {"type": "integer", **({"reduce": reduce} if reduce else {})}}

    node = {"name": "a", "uses": "set", "with": {"values": {"n": "3"}}, "next": following}
    sub = {"name": "sub", "uses": "workflow", "with": {"ref": "inner"}, "next": "end"}
    return {
        "workflow": {"state": channels(outer), "start": "sub", "limits": {"steps": 200}, "nodes": [sub]},
        "workflows": [
            {"name": "inner", "state": channels(inner), "start": "a", "limits": limits, "nodes": [node]},
        ],
    }


@pytest.mark.parametrize(
    ("outer", "inner", "result"), [(None, "sum", 8), ("sum", None, 3), ("sum", "sum", 8), ("max", "sum", 8)]
)
async def test_the_outer_channel_becomes_what_the_inner_one_is(outer, inner, result):
    async with running(_spec(outer, inner, limits={})) as it:
        assert await it.client.runs.wait(None, "agent", input={"n": 5}) == {"n": result}


async def test_a_sub_workflow_ends_at_its_own_limit_of_steps():
    async with running(_spec("sum", "sum", limits={"steps": 5}, following="a")) as it:
        values: Any = await it.client.runs.wait(None, "agent", input={}, raise_error=False)
    assert values["__error__"]["message"] == "sub-workflow `inner` took more than its limit of 5 steps"


async def test_a_sub_workflow_ends_at_its_own_limit_of_time():
    spec = _spec(None, None, limits={"wallClock": "100ms"})
    spec["models"] = [{"name": "default", "provider": "scripted", "script": [{"reply": "late", "delay": "30s"}]}]
    spec["workflows"][0]["nodes"] = [{"name": "a", "uses": "model", "with": {"input": "'hi'", "save": "n"}}]
    async with running(spec) as it:
        values: Any = await it.client.runs.wait(None, "agent", input={}, raise_error=False)
    assert values["__error__"]["message"] == "sub-workflow `inner` took longer than its limit of 0.1 s"

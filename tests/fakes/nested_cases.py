"""What langgraph-sdk does with a graph within a graph, of an agent that runs `fakes.nested`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langgraph_sdk.errors import NotFoundError, UnprocessableEntityError

if TYPE_CHECKING:
    from langgraph_sdk.client import LangGraphClient

GRAPH = "fakes.nested:graph"
HI: Any = {"said": ["hi"]}


async def _asked(client: LangGraphClient) -> tuple[str, Any]:
    """A thread whose inner graph waits for an answer, and the place of that graph."""
    thread = (await client.threads.create())["thread_id"]
    values: Any = await client.runs.wait(thread, "agent", input=HI)
    assert [one["value"] for one in values["__interrupt__"]] == [{"question": "Go on?"}]
    state = await client.threads.get_state(thread)
    return thread, state["tasks"][0]["checkpoint"]


async def the_inner_state_is_told(client: LangGraphClient) -> None:
    thread, inside = await _asked(client)
    assert inside["checkpoint_ns"].startswith("inner:")
    state = await client.threads.get_state(thread, checkpoint=inside)
    assert (state["values"], state["next"]) == ({"said": ["hi", "first"]}, ["ask"])
    whole = await client.threads.get_state(thread, subgraphs=True)
    assert whole["tasks"][0]["state"]["values"] == state["values"]
    history = await client.threads.get_history(thread, checkpoint=inside)
    assert [one["values"]["said"] for one in history] == [["hi", "first"], ["hi"], []]
    before = history[0]["checkpoint"]
    assert len(await client.threads.get_history(thread, checkpoint=inside, before=before)) == 2


async def the_inner_state_is_changed(client: LangGraphClient) -> None:
    thread, inside = await _asked(client)
    await client.threads.update_state(thread, {"said": ["edited"]}, checkpoint=inside)
    assert (await client.threads.get_state(thread))["values"] == HI
    values: Any = await client.runs.wait(thread, "agent", command={"resume": "yes"})
    assert values["said"] == ["hi", "hi", "first", "edited", "yes", "last"]


async def a_run_goes_on_from_within(client: LangGraphClient) -> None:
    thread, inside = await _asked(client)
    asked = (await client.threads.get_history(thread, checkpoint=inside, limit=1))[0]["checkpoint"]
    values: Any = await client.runs.wait(thread, "agent", command={"resume": "yes"})
    assert values["said"] == ["hi", "hi", "first", "yes", "last"]
    values = await client.runs.wait(thread, "agent", input=None, checkpoint=asked)
    assert values["__interrupt__"]
    values = await client.runs.wait(thread, "agent", command={"resume": "again"})
    assert values["said"] == ["hi", "hi", "first", "again", "last"]


async def what_is_not_there_is_refused(client: LangGraphClient) -> None:
    thread, inside = await _asked(client)
    missing: Any = {**inside, "checkpoint_id": "1f1e5a90-1f25-6fa3-8002-1d4d06be7981"}
    with pytest.raises(NotFoundError):
        await client.threads.get_state(thread, checkpoint=missing)
    with pytest.raises(NotFoundError):
        await client.threads.update_state(thread, HI, checkpoint=missing)
    with pytest.raises(NotFoundError):
        await client.runs.create(thread, "agent", input=None, checkpoint=missing)
    with pytest.raises(UnprocessableEntityError, match="nothing"):
        await client.threads.update_state(thread, HI, checkpoint={**inside, "checkpoint_ns": "nothing:1"})


CASES = (
    the_inner_state_is_told,
    the_inner_state_is_changed,
    a_run_goes_on_from_within,
    what_is_not_there_is_refused,
)

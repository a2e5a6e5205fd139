"""What langgraph-sdk does with whole threads, whatever keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from langgraph_sdk.errors import ConflictError, UnprocessableEntityError

from fakes.agents import person

if TYPE_CHECKING:
    from langgraph_sdk.client import LangGraphClient


async def copies_are_apart(client: LangGraphClient) -> None:
    thread = await client.threads.create(metadata={"customer": "c1"})
    await client.runs.wait(thread["thread_id"], "agent", input=person("one"))
    copy = await client.threads.copy(thread["thread_id"])
    assert copy is not None
    name = copy["thread_id"]
    assert name != thread["thread_id"]
    assert copy["metadata"]["customer"] == "c1"
    before = await client.threads.get_history(thread["thread_id"])
    assert [state["values"] for state in await client.threads.get_history(name)] == [s["values"] for s in before]
    await client.runs.wait(name, "agent", input=person("two"))
    assert len((await client.threads.get_state(name))["values"]["messages"]) == 4
    assert len((await client.threads.get_state(thread["thread_id"]))["values"]["messages"]) == 2
    await client.threads.delete(thread["thread_id"])
    assert len((await client.threads.get_state(name))["values"]["messages"]) == 4
    assert await client.threads.count(metadata={"customer": "c1"}) == 1
    assert await client.threads.count(metadata={"customer": "c2"}) == 0


async def pruned_threads_go_on(client: LangGraphClient) -> None:
    threads = [(await client.threads.create())["thread_id"] for _ in range(2)]
    for thread in threads:
        for text in ("one", "two"):
            await client.runs.wait(thread, "agent", input=person(text))
    assert len(await client.threads.get_history(threads[0])) > 2
    pruned = await client.threads.prune([*threads, "not-there"], strategy="keep_latest")
    assert pruned["pruned_count"] == 2
    assert len(await client.threads.get_history(threads[0])) == 1
    await client.runs.wait(threads[0], "agent", input=person("three"))
    assert len((await client.threads.get_state(threads[0]))["values"]["messages"]) == 6
    assert (await client.threads.prune(threads))["pruned_count"] == 2
    assert await client.threads.count() == 0


async def threads_with_runs_to_come_stay(client: LangGraphClient) -> None:
    thread = (await client.threads.create())["thread_id"]
    later = await client.runs.create(thread, "agent", input=person("later"), after_seconds=3600)
    await client.runs.wait(thread, "agent", input=person("now"))
    assert (await client.threads.prune([thread]))["pruned_count"] == 0
    with pytest.raises(ConflictError, match=later["run_id"]):
        await client.threads.delete(thread)
    await client.runs.cancel(thread, later["run_id"])
    await client.threads.delete(thread)
    assert await client.threads.count() == 0


async def threads_begin_with_a_state(client: LangGraphClient) -> None:
    def step(as_node: str, *texts: str) -> dict[str, Any]:
        return {"updates": [{"values": person(text), "as_node": as_node} for text in texts]}

    # As LangGraph itself goes: what comes in, what that writes, and what nodes do.
    given = [step("__input__", "one"), step("__start__", "one"), step("answer", "two")]
    made = await client.threads.create(supersteps=given)
    thread = made["thread_id"]
    assert [message["content"] for message in made["values"]["messages"]] == ["one", "two"]
    assert len(await client.threads.get_history(thread)) == 3
    values = await client.runs.wait(thread, "agent", input=person("three"))
    assert [message["content"] for message in values["messages"]][:3] == ["one", "two", "three"]
    for wrong in ([step("missing", "one")], [{"updates": [{"values": {"unknown": 1}, "as_node": "answer"}]}]):
        with pytest.raises(UnprocessableEntityError):
            await client.threads.create(thread_id="wrong", supersteps=wrong)
    assert await client.threads.search(ids=["wrong"]) == []
    await client.threads.delete(thread)


async def threads_fork_where_they_were(client: LangGraphClient) -> None:
    def said(values: Any) -> list[str]:
        return [message["content"] for message in values["messages"]]

    thread = (await client.threads.create())["thread_id"]
    for text in ("one", "two"):
        await client.runs.wait(thread, "agent", input=person(text))
    history = await client.threads.get_history(thread)
    then = next(state for state in history if not state["next"] and len(state["values"]["messages"]) == 2)["checkpoint"]
    values = await client.runs.wait(thread, "agent", input=person("other"), checkpoint_id=then["checkpoint_id"])
    assert said(values) == ["one", "You said: one", "other", "You said: other"]
    assert said((await client.threads.get_state(thread))["values"]) == said(values)
    # What it went on from, and where it had gone before, are as they were.
    assert (await client.threads.get_history(thread))[-len(history) :] == history
    fork = await client.threads.update_state(thread, person("by hand"), checkpoint_id=then["checkpoint_id"])
    state = await client.threads.get_state(thread, fork["checkpoint"])
    assert said(state["values"]) == ["one", "You said: one", "by hand"]
    assert state["parent_checkpoint"]["checkpoint_id"] == then["checkpoint_id"]
    await client.threads.delete(thread)


async def only_what_is_selected_is_told(client: LangGraphClient) -> None:
    thread = (await client.threads.create())["thread_id"]
    await client.runs.wait(thread, "agent", input=person("one"))
    state = await client.threads.get_state(thread, select=["values.messages", "next"])
    assert state.keys() == {"values", "next"}
    assert state["values"].keys() == {"messages"}
    at = (await client.threads.get_state(thread))["checkpoint"]
    assert (await client.threads.get_state(thread, at, select=["values.missing"])) == {"values": {}}
    assert await client.threads.get_state(thread, checkpoint_id=at["checkpoint_id"], select=["next"]) == {"next": []}
    for state in await client.threads.get_history(thread, select=["metadata"]):
        assert state.keys() == {"metadata"}
    assert [run.keys() for run in await client.runs.list(thread, select=["status"])] == [{"status"}]
    assert [one.keys() for one in await client.threads.search(select=["status"])] == [{"status"}]
    for refused in ({"values": {"x": 1}}, {"extract": {"last": "values.messages[-1]"}}):
        with pytest.raises(UnprocessableEntityError):
            await client.threads.search(**refused)
    with pytest.raises(UnprocessableEntityError):
        await client.threads.update(thread, metadata={}, ttl=5)
    await client.threads.delete(thread)


CASES = (
    copies_are_apart,
    pruned_threads_go_on,
    threads_with_runs_to_come_stay,
    threads_begin_with_a_state,
    threads_fork_where_they_were,
    only_what_is_selected_is_told,
)

"""Runs that begin later, and runs that come together."""

from __future__ import annotations

import asyncio
import time

import pytest
from langgraph_sdk.errors import UnprocessableEntityError

from fakes.agents import CHAT, ECHO, last_text, person, running

SPEC = {"models": [ECHO], "workflow": CHAT}


async def test_a_run_begins_when_it_is_due_and_lets_others_pass():
    async with running(SPEC) as it:
        thread = (await it.client.threads.create())["thread_id"]
        begun = time.monotonic()
        later = await it.client.runs.create(thread, "agent", input=person("later"), after_seconds=2)
        assert later["status"] == "pending"
        first = await it.client.runs.wait(thread, "agent", input=person("first"))
        assert time.monotonic() - begun < 2
        assert last_text(first) == "You said: first"
        values = await it.client.runs.join(thread, later["run_id"])
        assert 2 <= time.monotonic() - begun < 4
        assert [m["content"] for m in values["messages"]][::2] == ["first", "later"]


async def test_runs_that_come_together_are_all_accepted():
    async with running(SPEC) as it:
        asked = [{"assistant_id": "agent", "input": person(str(number))} for number in range(5)]
        made = await it.client.runs.create_batch(asked)
        ended = await asyncio.gather(*(it.client.runs.join(run["thread_id"], run["run_id"]) for run in made))
        assert [last_text(values) for values in ended] == [f"You said: {number}" for number in range(5)]


async def test_of_runs_that_come_together_all_or_none_are_accepted():
    async with running({**SPEC, "runs": {"maxQueued": 3}}) as it:
        good = {"assistant_id": "agent", "input": person("hi"), "after_seconds": 60}
        with pytest.raises(UnprocessableEntityError, match="no such field"):
            await it.client.runs.create_batch([good, {**good, "input": {"other": 1}}])
        assert await it.agent.store.queued() == {}
        answer = await it.client.http.client.post("/runs/batch", json=[good] * 4)
        assert answer.status_code == 429
        assert await it.agent.store.queued() == {}


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"command": {}}, "resume"),
        ({"command": {"resume": None, "goto": []}}, "resume"),
        ({"command": {"goto": "nowhere"}}, "no node nowhere"),
        ({"command": {"goto": ["answer", "__start__"]}}, "no node __start__"),
        ({"command": {"resume": "yes"}, "input": person("hi")}, "don't go together"),
    ],
)
async def test_a_command_that_does_nothing_is_refused(asked, told):
    async with running(SPEC) as it:
        answer = await it.client.http.client.post("/runs/wait", json={"assistant_id": "agent", **asked})
        assert answer.status_code == 422
        assert told in answer.json()["detail"]


async def test_a_command_goes_to_a_node_or_to_the_end():
    async with running(SPEC) as it:
        thread = (await it.client.threads.create())["thread_id"]
        command = {"update": person("hi"), "goto": "answer"}
        # As some clients ask, whose input is empty where there is a command.
        assert last_text(await it.client.runs.wait(thread, "agent", input={}, command=command)) == "You said: hi"
        assert await it.client.runs.wait(thread, "agent", command={"goto": ["__end__"]})


async def test_a_run_whose_checkpoint_went_meanwhile_fails_and_leaves_the_thread_as_it_is():
    async with running(SPEC) as it:
        thread = (await it.client.threads.create())["thread_id"]
        await it.client.runs.wait(thread, "agent", input=person("one"))
        first = (await it.client.threads.get_history(thread))[-1]["checkpoint"]["checkpoint_id"]
        later = await it.client.runs.create(
            thread, "agent", input=person("two"), checkpoint_id=first, after_seconds=0.5
        )
        assert (await it.client.threads.prune([thread], strategy="keep_latest"))["pruned_count"] == 1
        ended = await it.client.runs.join(thread, later["run_id"])
        assert f"has no checkpoint {first}" in ended["__error__"]["message"]
        assert [m["content"] for m in (await it.client.threads.get_state(thread))["values"]["messages"]][::2] == ["one"]

"""Stateless runs begin as they are accepted, and are not lost where that fails."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any

from agent_runtime.errors import UnavailableError
from agent_runtime.state.records import Run
from fakes.agents import CHAT, ECHO, last_text, person, running

SPEC = {"models": [ECHO], "workflow": CHAT}
BODY = {"assistant_id": "agent", "input": person("hi"), "on_completion": "delete"}

caller: ContextVar[str | None] = ContextVar("caller", default=None)


async def _refuse(*_: Any, **__: Any) -> Any:
    raise AssertionError("a run that begins at once is not looked for, and not written as begun once more")


async def test_a_run_with_a_thread_of_its_own_is_written_as_begun():
    async with running(SPEC) as it, asyncio.timeout(20):
        it.agent.store.start_run = _refuse  # type: ignore[method-assign]
        assert last_text(await it.client.runs.wait(None, "agent", input=person("hi"))) == "You said: hi"


async def test_nothing_of_the_request_is_known_where_the_run_executes():
    async with running(SPEC) as it, asyncio.timeout(20):
        end_run, seen = it.agent.store.end_run, list[str | None]()
        add_run = it.agent.store.add_run

        async def adding(run: Run, **named: Any) -> bool:
            caller.set("somebody")
            return await add_run(run, **named)

        async def ending(*given: Any, **named: Any) -> Any:
            seen.append(caller.get())
            return await end_run(*given, **named)

        it.agent.store.add_run, it.agent.store.end_run = adding, ending  # type: ignore[method-assign]
        await it.client.runs.wait(None, "agent", input=person("hi"))
    assert seen == [None]


async def test_a_run_of_which_it_is_not_known_whether_it_was_added_is_taken_like_any_other():
    async with running(SPEC) as it, asyncio.timeout(20):
        store, added = it.agent.store, list[Run]()
        add_run = store.add_run

        async def lost(run: Run, **named: Any) -> bool:
            await add_run(run, **named)
            added.append(run)
            raise UnavailableError("no answer")

        store.add_run = lost  # type: ignore[method-assign]
        answer = await it.client.http.client.post("/runs", json=BODY)
        assert answer.status_code == 503
        (run,) = added
        while (found := await store.run(run.thread_id, run.run_id)) and found.active:  # noqa: ASYNC110 - with a deadline
            await asyncio.sleep(0.01)
    assert found is not None
    assert (found.status, found.attempt) == ("success", 2)


async def test_where_a_run_could_not_be_added_its_lease_and_its_place_are_given_back():
    # One place is for the queue.
    async with running(SPEC, max_runs=2) as it, asyncio.timeout(20):
        store = it.agent.store
        kept = {name: getattr(store, name) for name in ("add_run", "add_thread")}

        async def gone(*_: Any, **__: Any) -> bool:
            raise UnavailableError("no answer")

        for name, method in kept.items():
            for _ in range(3):
                setattr(store, name, gone)
                assert (await it.client.http.client.post("/runs", json=BODY)).status_code == 503
                assert await store.leases() == []
            setattr(store, name, method)
        store.start_run = _refuse  # type: ignore[method-assign]
        assert last_text(await it.client.runs.wait(None, "agent", input=person("hi"))) == "You said: hi"

"""What langgraph-sdk's `client.crons` does, wherever crons are kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import NotFoundError, UnprocessableEntityError

from fakes.agents import person

INPUT: Any = person("Hello")


def _next(cron: Any) -> datetime:
    return datetime.fromisoformat(cron["next_run_date"])


async def creates_with_all_parameters(client: LangGraphClient) -> None:
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(days=700)
    made: Any = await client.crons.create(
        "agent",
        schedule="30 8 * * MON-FRI",
        input=INPUT,
        metadata={"team": "desk"},
        config={"tags": ["cron"], "recursion_limit": 5},
        context={"tone": "kind"},
        interrupt_before=["answer"],
        interrupt_after="*",
        on_run_completed="keep",
        multitask_strategy="interrupt",
        end_time=end,
        enabled=True,
        timezone=ZoneInfo("Europe/Berlin"),
        stream_mode=["values", "updates"],
        stream_subgraphs=True,
        stream_resumable=True,
        durability="sync",
    )
    assert made["schedule"] == "30 8 * * MON-FRI"
    assert made["timezone"] == "Europe/Berlin"
    assert made["thread_id"] is None
    assert made["on_run_completed"] == "keep"
    assert made["metadata"] == {"team": "desk"}
    assert made["enabled"] is True
    assert datetime.fromisoformat(made["end_time"]) == end
    assert made["payload"]["input"] == INPUT
    assert made["payload"]["interrupt_before"] == ["answer"]
    assert made["payload"]["multitask_strategy"] == "interrupt"
    assert made["payload"]["config"]["recursion_limit"] == 5
    local = _next(made).astimezone(ZoneInfo("Europe/Berlin"))
    assert (local.hour, local.minute, local.weekday() < 5) == (8, 30, True)
    assert await client.crons.search() == [made]
    await client.crons.delete(made["cron_id"])
    assert await client.crons.search() == []


async def creates_for_a_thread(client: LangGraphClient) -> None:
    thread = (await client.threads.create())["thread_id"]
    made: Any = await client.crons.create_for_thread(thread, "agent", schedule="0 0 * * *", input=INPUT)
    assert made["thread_id"] == thread
    assert made["on_run_completed"] is None
    assert [one["cron_id"] for one in await client.crons.search(thread_id=thread)] == [made["cron_id"]]
    assert await client.crons.count(thread_id=thread) == 1
    assert await client.crons.count(thread_id="another") == 0
    with pytest.raises(NotFoundError):
        await client.crons.create_for_thread("missing", "agent", schedule="0 0 * * *")
    await client.crons.delete(made["cron_id"])


async def changes_only_what_is_named(client: LangGraphClient) -> None:
    made: Any = await client.crons.create("agent", schedule="0 0 1 1 *", input=INPUT, metadata={"a": 1})
    cron_id = made["cron_id"]
    changed: Any = await client.crons.update(cron_id, input=person("Bye"), metadata={"b": 2}, webhook=None)
    assert changed["payload"]["input"] == person("Bye")
    assert changed["metadata"] == {"b": 2}
    assert changed["next_run_date"] == made["next_run_date"]
    assert changed["schedule"] == made["schedule"]
    stopped: Any = await client.crons.update(cron_id, enabled=False)
    assert (stopped["enabled"], stopped["next_run_date"]) == (False, None)
    again: Any = await client.crons.update(cron_id, enabled=True, schedule="0 12 * * *", timezone="Asia/Tokyo")
    assert _next(again).hour == 3
    soon = datetime.now(UTC) + timedelta(seconds=30)
    ending: Any = await client.crons.update(cron_id, schedule="0 0 1 1 *", end_time=soon)
    assert ending["next_run_date"] is None
    endless: Any = await client.crons.update(cron_id, end_time=None)
    assert (endless["end_time"], endless["next_run_date"] is None) == (None, False)
    await client.crons.delete(cron_id)
    with pytest.raises(NotFoundError):
        await client.crons.update(cron_id, enabled=True)
    with pytest.raises(NotFoundError):
        await client.crons.delete(cron_id)


async def searches(client: LangGraphClient) -> None:
    names = ["one", "two", "three"]
    made = [await _named(client, number, name) for number, name in enumerate(names)]
    await client.crons.update(made[1], enabled=False)
    assert await client.crons.count() == 3
    assert await client.crons.count(metadata={"name": "two"}) == 1
    found = await client.crons.search(enabled=True, sort_by="next_run_date", sort_order="desc")
    assert [one["metadata"]["name"] for one in found] == ["three", "one"]
    found = await client.crons.search(sort_by="created_at", sort_order="asc", limit=2, offset=1)
    assert [one["metadata"]["name"] for one in found] == ["two", "three"]
    found = await client.crons.search(sort_by="end_time", metadata={"group": ["x"]}, select=["cron_id", "schedule"])
    assert sorted(one["cron_id"] for one in found) == sorted(made)
    assert all(one.keys() == {"cron_id", "schedule"} for one in found)
    assert await client.crons.search(assistant_id="another") == []
    for cron_id in made:
        await client.crons.delete(cron_id)


async def _named(client: LangGraphClient, number: int, name: str) -> str:
    metadata = {"name": name, "group": ["x"]}
    made: Any = await client.crons.create("agent", schedule=f"0 0 1 {number + 1} *", input=INPUT, metadata=metadata)
    # So that the first of January is not this year's in one, and the next one's in another.
    changed: Any = await client.crons.update(made["cron_id"], schedule=f"{number} 0 1 1 *")
    return str(changed["cron_id"])


async def refuses_what_cannot_work(client: LangGraphClient) -> None:
    for given in (
        {"schedule": "every day"},
        {"schedule": "0 0 30 2 *"},
        {"schedule": "0 0 * * *", "timezone": "Mars/Olympus"},
        {"schedule": "0 0 * * *", "input": {"unknown": 1}},
        {"schedule": "0 0 * * *", "webhook": "http://127.0.0.1:1/"},
        {"schedule": "0 0 * * *", "metadata": {"apm_task": "x"}},
    ):
        with pytest.raises(UnprocessableEntityError):
            await client.crons.create("agent", **given)  # type: ignore[arg-type]
    with pytest.raises(NotFoundError):
        await client.crons.create("another", schedule="0 0 * * *")
    assert await client.crons.count() == 0


CASES = [
    creates_with_all_parameters,
    creates_for_a_thread,
    changes_only_what_is_named,
    searches,
    refuses_what_cannot_work,
]

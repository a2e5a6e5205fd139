"""What every place for crons does."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from agent_runtime.auth.principal import NOBODY, Principal
from agent_runtime.crons.cron import Cron
from agent_runtime.crons.store import CronStore

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
ALICE = Principal("alice", "", "apiKey")


def cron(**fields: Any) -> Cron:
    given = {"cron_id": str(uuid4()), "caller": NOBODY.kept, "schedule": "0 * * * *", "request": {}}
    return Cron(**{**given, "next": NOON, "due": NOON, **fields})


async def keeps_all_of_a_cron(store: CronStore) -> None:
    it = cron(
        metadata={"a.b": 1 << 70, "$c": None},
        request={"input": {"x.y": [1]}},
        thread_id="thread",
        end_time=NOON + timedelta(days=1),
        timezone="Europe/Berlin",
        deadline=60.0,
        last=NOON - timedelta(hours=1),
    )
    assert await store.get(it.cron_id) is None
    assert await store.add(it)
    assert await store.get(it.cron_id) == it
    assert not await store.add(replace(it, schedule="1 * * * *"))
    assert await store.get(it.cron_id) == it
    assert await store.remove(it.cron_id)
    assert not await store.remove(it.cron_id)
    assert await store.get(it.cron_id) is None


async def changes_only_what_nobody_changed_meanwhile(store: CronStore) -> None:
    it = cron()
    await store.add(it)
    changed = await store.change(replace(it, missed=1))
    assert changed == replace(it, missed=1, revision=1)
    assert await store.change(replace(it, missed=2)) is None
    assert await store.get(it.cron_id) == changed
    await store.remove(it.cron_id)
    assert await store.change(changed) is None
    assert await store.get(it.cron_id) is None


async def tells_callers_apart(store: CronStore) -> None:
    mine, others = cron(caller=ALICE.kept), cron()
    own = cron(caller=ALICE.kept, declared=True)
    for one in (mine, others, own):
        await store.add(one)
    assert await store.of(ALICE.owner) == [mine]
    assert await store.of("apiKey|bob") == []


async def lists_what_is_due_by_time(store: CronStore) -> None:
    later, soon, never = cron(due=NOON + timedelta(hours=1)), cron(), cron(next=None, due=None)
    own, foreign = cron(declared=True, due=NOON + timedelta(hours=2)), cron(declared=True)
    for one in (later, soon, never, own, foreign):
        await store.add(one)
    assert await store.upcoming([own.cron_id], 10) == [soon, later, own]
    assert await store.upcoming([], 1) == [soon]


CASES = [
    keeps_all_of_a_cron,
    changes_only_what_nobody_changed_meanwhile,
    tells_callers_apart,
    lists_what_is_due_by_time,
]

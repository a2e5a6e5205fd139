"""A thousand approvals that wait, in MongoDB."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from fakes.agents import running

PENDING = 1000
WORKFLOW = {
    "state": {"topic": {"type": "string"}, "done": {"type": "string"}},
    "start": "gate",
    "nodes": [
        {
            "name": "gate",
            "uses": "approval",
            "with": {"ask": "Publish {{ state.topic }}?", "routes": {"approve": "publish", "reject": "end"}},
        },
        {"name": "publish", "uses": "set", "with": {"values": {"done": "state.topic"}}},
    ],
}


async def _all(http: httpx.AsyncClient) -> list[dict[str, Any]]:
    """Every approval, page by page."""
    found: list[dict[str, Any]] = []
    offset: int | None = 0
    while offset is not None:
        page = (await http.get("/approvals", params={"limit": 200, "offset": offset})).json()
        found += page["approvals"]
        offset = page["next"]
    return found


async def test_all_are_listed_and_each_goes_on_in_its_own_thread(database, mounted):
    mongodb = {"uriSecretRef": {"name": "apm-mongodb", "key": "uri"}, "database": database}
    spec: dict[str, Any] = {"workflow": WORKFLOW, "state": {"mongodb": mongodb}}
    some = asyncio.Semaphore(32)
    async with running(spec, secrets=mounted) as it, httpx.AsyncClient(base_url=it.url, timeout=60) as http:

        async def ask(number: int) -> None:
            body = {"assistant_id": "agent", "input": {"topic": f"news {number}"}, "if_not_exists": "create"}
            async with some:
                (await http.post(f"/threads/t{number}/runs/wait", json=body)).raise_for_status()

        await asyncio.gather(*(ask(number) for number in range(PENDING)))
        found = await _all(http)
        assert {one["ask"] for one in found} == {f"Publish news {number}?" for number in range(PENDING)}
        assert len(found) == PENDING
        for approval in (found[0], found[PENDING // 2], found[-1]):
            run = (await http.post(f"/approvals/{approval['id']}", json={"answer": "approve"})).json()
            values = await it.client.runs.join(run["thread_id"], run["run_id"])
            assert f"Publish {values['done']}?" == approval["ask"]
        assert len(await _all(http)) == PENDING - 3

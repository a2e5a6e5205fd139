"""Approvals of an agent whose state lies in MongoDB, over its pods."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from fakes.agents import running

GATE = {"ask": "Publish {{ state.topic }}?", "routes": {"approve": "publish", "reject": "end"}}
WORKFLOW = {
    "state": {"topic": {"type": "string"}, "done": {"type": "array", "reduce": "append"}},
    "start": "gate",
    "nodes": [
        {"name": "gate", "uses": "approval", "with": GATE},
        {"name": "publish", "uses": "set", "with": {"values": {"done": "['published']"}}},
    ],
}


async def test_any_pod_lists_and_one_answer_goes_on(database, mounted):
    mongodb = {"uriSecretRef": {"name": "apm-mongodb", "key": "uri"}, "database": database}
    spec: dict[str, Any] = {"workflow": WORKFLOW, "state": {"mongodb": mongodb}}
    async with running(spec, secrets=mounted) as first, running(spec, secrets=mounted) as second:
        asked = {"input": {"topic": "news"}, "if_not_exists": "create"}
        await first.client.runs.wait("t1", "agent", **asked)
        async with httpx.AsyncClient(timeout=30) as http:
            (approval,) = (await http.get(f"{second.url}/approvals")).json()["approvals"]
            assert approval["ask"] == "Publish news?"
            urls = [f"{pod.url}/approvals/{approval['id']}" for pod in (first, second)] * 3
            answers = await asyncio.gather(*(http.post(url, json={"answer": "approve"}) for url in urls))
            assert sorted(one.status_code for one in answers) == [202, 409, 409, 409, 409, 409]
            run = next(one.json() for one in answers if one.status_code == 202)
            values = await second.client.runs.join("t1", run["run_id"])
            assert values["done"] == ["published"]
            assert (await http.get(f"{first.url}/approvals")).json()["approvals"] == []
            health = await http.get(f"{first.url}/health/dependencies")
    assert [one["name"] for one in health.json()["dependencies"]] == ["mongodb"]
    assert health.json()["status"] == "healthy"

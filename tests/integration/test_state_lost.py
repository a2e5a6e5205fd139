"""Checkpoints of which a part is gone: told once and for all, in place of waiting for what does not come back."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from pymongo import MongoClient

from agent_runtime.state.checkpoints.keys import COLLECTION
from fakes.agents import person, running

ASK: dict[str, Any] = {"assistant_id": "agent", "if_not_exists": "create"}


@pytest.mark.parametrize("gone", ["segment", "value"])
async def test_a_thread_whose_documents_are_gone_says_so(gone, database, mounted, mongodb_uri):
    mongodb = {"uriSecretRef": {"name": "apm-mongodb", "key": "uri"}, "database": database}
    script = [{"reply": "You said: {{ last }}"}]
    spec = {
        "models": [{"name": "default", "provider": "scripted", "script": script}],
        "workflow": {"start": "answer", "nodes": [{"name": "answer", "uses": "model"}]},
        "state": {"mongodb": mongodb},
    }
    async with running(spec, secrets=mounted) as it:
        for number in range(40):
            text = f"{number} " * (9000 if gone == "value" else 300)
            await it.client.runs.wait("t1", "agent", input=person(text), if_not_exists="create")
    with MongoClient[dict[str, Any]](mongodb_uri) as client:
        kind = {"segment": {"end": {"$gt": 0}}, "value": {"blob": {"$gt": ""}}}[gone]
        assert client[database][COLLECTION].delete_many(kind).deleted_count
    async with running(spec, secrets=mounted) as it, httpx.AsyncClient(base_url=it.url, timeout=20) as http:
        run = await http.post("/threads/t1/runs/wait", json={**ASK, "input": person("hello")})
        assert run.json()["__error__"]["error"] == "StateLost"
        assert "restore them from a backup, or delete the thread" in run.json()["__error__"]["message"]
        (listed, *_) = (await http.get("/threads/t1/runs")).json()
        assert listed["status"] == "error"
        state = await http.get("/threads/t1/state")
        assert (state.status_code, state.headers["content-type"]) == (500, "application/problem+json")
        assert "are missing in MongoDB" in state.json()["detail"]
        assert (await http.delete("/threads/t1")).status_code == 204
        again = await http.post("/threads/t1/runs/wait", json={**ASK, "input": person("hello")})
        assert "__error__" not in again.json()

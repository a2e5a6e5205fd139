from __future__ import annotations

import httpx
import pytest

from fakes.agents import CHAT, ECHO, running
from fakes.authority import swap
from fakes.thread_sets import CASES

SPEC = {"models": [ECHO], "workflow": CHAT, "auth": {"anonymous": True, "apiKeys": {"secretRef": {"name": "callers"}}}}
KEY = {"x-api-key": "alices-very-secret-key"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_whole_threads(case):
    async with running({"models": [ECHO], "workflow": CHAT}) as it:
        await case(it.client)
        assert it.agent.store.durable is False


async def test_the_threads_of_others_are_not_there(tmp_path):
    swap(tmp_path / "keys", {"alice": KEY["x-api-key"]})
    async with running(SPEC, api_keys_dir=tmp_path / "keys") as it, httpx.AsyncClient(base_url=it.url) as http:
        thread = (await http.post("/threads", json={}, headers=KEY)).json()["thread_id"]
        assert (await http.post(f"/threads/{thread}/copy")).status_code == 404
        assert (await http.post("/threads/prune", json={"thread_ids": [thread]})).json() == {"pruned_count": 0}
        assert (await http.post("/threads/count", json={})).json() == 0
        assert (await http.post("/threads/count", json={}, headers=KEY)).json() == 1

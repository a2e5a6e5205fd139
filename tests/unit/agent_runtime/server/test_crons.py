from __future__ import annotations

import httpx
import pytest

from agent_runtime.auth.principal import Principal
from agent_runtime.crons import service
from fakes.agents import CHAT, ECHO, running
from fakes.authority import swap
from fakes.cron_cases import CASES
from fakes.issuer import ISSUER, issuing

CHATTING = {"models": [ECHO], "workflow": CHAT}
SPEC = {**CHATTING, "auth": {"anonymous": True, "apiKeys": {"secretRef": {"name": "callers"}}}}
KEY = {"x-api-key": "alices-very-secret-key"}
NIGHTLY = {"assistant_id": "agent", "schedule": "0 2 * * *"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
async def test_crons(case):
    async with running(CHATTING) as it:
        await case(it.client)


async def test_the_crons_of_others_are_not_there(tmp_path):
    swap(tmp_path / "keys", {"alice": KEY["x-api-key"]})
    async with running(SPEC, api_keys_dir=tmp_path / "keys") as it, httpx.AsyncClient(base_url=it.url) as http:
        thread = (await http.post("/threads", json={}, headers=KEY)).json()["thread_id"]
        made = (await http.post(f"/threads/{thread}/runs/crons", json=NIGHTLY, headers=KEY)).json()
        assert made["user_id"] == "alice"
        path = f"/runs/crons/{made['cron_id']}"
        assert (await http.patch(path, json={"enabled": False})).status_code == 404
        assert (await http.delete(path)).status_code == 404
        assert (await http.post("/runs/crons/search", json={})).json() == []
        assert (await http.post("/runs/crons/count", json={})).json() == 0
        assert (await http.post(f"/threads/{thread}/runs/crons", json=NIGHTLY)).status_code == 404
        assert (await http.post("/runs/crons/count", json={}, headers=KEY)).json() == 1
        assert (await http.post("/runs/crons/search", json={"thread_id": thread}, headers=KEY)).json() == [made]
        assert (await http.delete(path, headers=KEY)).status_code == 204


async def test_nobody_has_crons_without_end(monkeypatch):
    monkeypatch.setattr(service, "_MOST", 2)
    async with running(CHATTING) as it:
        for _ in range(2):
            await it.client.crons.create("agent", schedule="0 2 * * *")
        async with httpx.AsyncClient(base_url=it.url) as http:
            refused = await http.post("/runs/crons", json=NIGHTLY)
        assert refused.status_code == 422
        assert "delete some" in refused.json()["detail"]


async def test_a_cron_of_the_spec_is_changed_by_the_spec_alone():
    declared = {"name": "nightly", "schedule": "0 2 * * *"}
    async with running({**CHATTING, "crons": [declared]}) as it, httpx.AsyncClient(base_url=it.url) as http:
        (cron,) = await it.agent.crons.store.upcoming([one.cron_id for one in it.agent.crons.ticker._declared], 10)
        assert (await http.delete(f"/runs/crons/{cron.cron_id}")).status_code == 404
        assert await it.agent.crons.store.get(cron.cron_id) == cron


async def test_what_a_token_says_is_not_kept():
    async with issuing("ES256") as issuer:
        jwt = [{"issuer": ISSUER, "jwksURL": issuer.url, "audiences": ["apm"]}]
        async with running({**CHATTING, "auth": {"jwt": jwt}}) as it, httpx.AsyncClient(base_url=it.url) as http:
            token = issuer.token("ES256", email="ann@example.com", number=1 << 70)
            made = await http.post("/runs/crons", json=NIGHTLY, headers={"authorization": f"Bearer {token}"})
            cron = await it.agent.crons.store.get(made.json()["cron_id"])
    assert cron is not None
    assert cron.principal == Principal("crm", "", "jwt", ISSUER)
    assert "ann@example.com" not in repr(cron)

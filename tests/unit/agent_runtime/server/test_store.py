from __future__ import annotations

import httpx
import pytest
from langgraph_sdk.errors import NotFoundError

from fakes.agents import CHAT, ECHO, person, running
from fakes.authority import swap

SPEC = {"models": [ECHO], "workflow": CHAT, "auth": {"anonymous": True, "apiKeys": {"secretRef": {"name": "callers"}}}}
KEY = {"x-api-key": "alices-very-secret-key"}


@pytest.fixture
async def agent(tmp_path):
    swap(tmp_path / "keys", {"alice": KEY["x-api-key"]})
    async with running(SPEC, api_keys_dir=tmp_path / "keys") as it:
        yield it


async def test_items_by_the_official_client(agent):
    store = agent.client.store
    await store.put_item(["users", "u1"], key="name", value={"first": "Ada", "age": 36}, ttl=60)
    await store.put_item(["users", "u2"], key="name", value={"first": "Alan", "age": 41})
    item = await store.get_item(["users", "u1"], key="name")
    assert item["value"] == {"first": "Ada", "age": 36}
    assert item["namespace"] == ["users", "u1"]
    assert item["created_at"]
    found = await store.search_items(["users"], filter={"age": {"$gt": 40}}, limit=5)
    assert [each["value"]["first"] for each in found["items"]] == ["Alan"]
    assert (await store.list_namespaces(prefix=["users"], max_depth=1))["namespaces"] == [["users"]]
    await store.delete_item(["users", "u1"], key="name")
    assert (await store.search_items(["users"], refresh_ttl=False))["items"][0]["key"] == "name"
    with pytest.raises(NotFoundError, match="no item name"):
        await store.get_item(["users", "u1"], key="name")


async def test_one_callers_items_are_nothing_to_another(agent):
    async with httpx.AsyncClient(base_url=agent.url) as http:
        item = {"namespace": ["notes"], "key": "k", "value": {"of": "alice"}}
        assert (await http.put("/store/items", json=item, headers=KEY)).status_code == 204
        place = {"namespace": "notes", "key": "k"}
        assert (await http.get("/store/items", params=place, headers=KEY)).status_code == 200
        assert (await http.get("/store/items", params=place)).status_code == 404
        assert (await http.post("/store/items/search", json={"namespace_prefix": []})).json() == {"items": []}
        assert (await http.post("/store/namespaces", json={})).json() == {"namespaces": []}
        place = {"namespace": ["notes"], "key": "k"}
        assert (await http.request("DELETE", "/store/items", json=place)).status_code == 204
        assert (await http.get("/store/items", params={"namespace": "notes", "key": "k"}, headers=KEY)).is_success


@pytest.mark.parametrize(
    "item",
    [
        {"namespace": [], "key": "k", "value": {}},
        {"namespace": ["a.b"], "key": "k", "value": {}},
        {"namespace": ["langgraph"], "key": "k", "value": {}},
        {"namespace": ["a"], "key": "", "value": {}},
        {"namespace": ["a"], "key": "k", "value": "text"},
        {"namespace": ["a"], "key": "k", "value": {}, "ttl": 0},
    ],
)
async def test_what_is_no_item_is_refused(agent, item):
    async with httpx.AsyncClient(base_url=agent.url) as http:
        answer = await http.put("/store/items", json=item)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


async def test_graphs_of_somebodys_own_remember_by_caller(tmp_path):
    swap(tmp_path / "keys", {"alice": KEY["x-api-key"]})
    spec = {"graph": "fakes.remembering:build", "auth": SPEC["auth"]}
    async with running(spec, api_keys_dir=tmp_path / "keys") as it, httpx.AsyncClient(base_url=it.url) as http:

        async def say(text: str, headers: dict[str, str]) -> str:
            body = {"assistant_id": "agent", "input": person(text)}
            answer = await http.post("/runs/wait", json=body, headers=headers)
            return str(answer.json()["messages"][-1]["content"])

        assert await say("one", KEY) == "nothing"
        assert await say("two", KEY) == "one"
        assert await say("three", {}) == "nothing"
        found = await http.post("/store/items/search", json={"namespace_prefix": ["said"]}, headers=KEY)
        assert {item["key"] for item in found.json()["items"]} == {"one", "two"}

"""The knowledge base in MongoDB: loaded by people and commands, searched by runs, kept apart by owner."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from agent_runtime.errors import ConflictError
from agent_runtime.integrations.knowledge import base
from agent_runtime.integrations.knowledge.base import EVERYBODY, KnowledgeBase
from agent_runtime.integrations.knowledge.document import Document
from agent_runtime.integrations.knowledge.hashing import HashingEmbedding
from agent_runtime.integrations.knowledge.store import PassageStore
from agent_runtime.integrations.knowledge_base import Search
from agent_runtime.state.connection import MongoConnection
from cluster.settings import REPOSITORY
from fakes.agents import RunningAgent, config, running
from fakes.serving import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from agent_runtime.integrations.knowledge.embedding import Vector

KEYS = {name: f"key-{name * 5}" for name in ("loader", "miller", "smith")}
LOOK_UP = {
    "state": {"question": {"type": "string"}, "found": {"type": "object"}},
    "start": "look",
    "tools": [{"name": "look-up", "integration": {"name": "knowledgeBase", "operation": "search"}}],
    "nodes": [
        {
            "name": "look",
            "uses": "tool",
            "with": {"tool": "look-up", "arguments": {"query": "state.question"}, "save": "found"},
        }
    ],
}


@pytest.fixture
def mounted(tmp_path: Path, mongodb_uri: str) -> Iterator[Path]:
    """Secrets and API keys as a pod has them."""
    (tmp_path / "secrets" / "apm-mongodb").mkdir(parents=True)
    (tmp_path / "secrets" / "apm-mongodb" / "uri").write_text(mongodb_uri)
    (tmp_path / "keys").mkdir()
    for name, key in KEYS.items():
        (tmp_path / "keys" / name).write_text(key)
    return tmp_path


@pytest.fixture
async def connection(database: str, mongodb_uri: str) -> AsyncIterator[MongoConnection]:
    connection = MongoConnection(lambda: mongodb_uri, database)
    yield connection
    await connection.close()


def spec(database: str, **knowledge: Any) -> dict[str, Any]:
    return {
        "auth": {"apiKeys": {"secretRef": {"name": "callers"}}},
        "integrations": {"knowledgeBase": {"editors": ["loader"], **knowledge}},
        "workflow": LOOK_UP,
        "state": {"mongodb": {"uriSecretRef": {"name": "apm-mongodb", "key": "uri"}, "database": database}},
    }


@asynccontextmanager
async def started(database: str, mounted: Path) -> AsyncIterator[RunningAgent]:
    async with running(spec(database), secrets=mounted / "secrets", api_keys_dir=mounted / "keys") as agent:
        yield agent


@asynccontextmanager
async def as_(agent: RunningAgent, name: str) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"x-api-key": KEYS[name]}
    async with httpx.AsyncClient(base_url=agent.url, headers=headers, timeout=30) as client:
        yield client


async def ask(client: httpx.AsyncClient, question: str) -> list[str]:
    """The ids that a run finds."""
    body = {"assistant_id": "agent", "input": {"question": question}}
    answer = await client.post("/runs/wait", json=body)
    return [each["id"] for each in answer.json()["found"]["results"]]


def document(name: str, text: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "text": text, **more}


async def test_callers_find_their_own_documents_and_those_of_everybody(database: str, mounted: Path):
    hours = document("hours", "We are open from 11 to 22 o'clock.", title="Opening hours", source="https://x.example")
    async with started(database, mounted) as agent, as_(agent, "loader") as loader, as_(agent, "miller") as miller:
        answer = await loader.put("/knowledge/documents", json={"documents": [hours], "shared": True})
        assert (answer.status_code, answer.json()) == (200, {"documents": 1, "passages": 1})
        refused = await miller.put("/knowledge/documents", json={"documents": [hours], "shared": True})
        assert refused.status_code == 403
        assert "integrations.knowledgeBase.editors" in refused.json()["detail"]
        own = [document("wish", "My favourite table is by the window."), document("hours", "I only come at noon.")]
        assert (await miller.put("/knowledge/documents", json={"documents": own})).status_code == 200
        async with as_(agent, "smith") as smith:
            assert await ask(smith, "Which table is by the window, and the opening hours?") == ["hours"]
            assert [each["id"] for each in (await smith.get("/knowledge/documents")).json()] == ["hours"]
            found = (await smith.post("/knowledge/search", json={"query": "favourite table window"})).json()
            assert [each["id"] for each in found["results"]] == ["hours"]
            assert (await smith.delete("/knowledge/documents/wish")).status_code == 404
            assert (await smith.delete("/knowledge/documents/hours?shared=true")).status_code == 403
        assert await ask(miller, "table by the window") == ["wish", "hours", "hours"]
        listed = (await miller.get("/knowledge/documents")).json()
        assert [(each["id"], each["shared"]) for each in listed] == [
            ("hours", True),
            ("hours", False),
            ("wish", False),
        ]
        assert (await miller.delete("/knowledge/documents/wish")).status_code == 204
        assert "wish" not in await ask(miller, "table by the window")


async def test_a_document_takes_the_place_of_its_older_self(database: str, mounted: Path):
    long = "The cellar holds wine from the river. " * 100
    async with started(database, mounted) as agent, as_(agent, "miller") as miller:
        put = {"documents": [document("cellar", long, metadata={"language": "en"})]}
        passages = (await miller.put("/knowledge/documents", json=put)).json()["passages"]
        assert passages > 2
        await miller.put("/knowledge/documents", json={"documents": [document("cellar", "The cellar is closed.")]})
        found = (await miller.post("/knowledge/search", json={"query": "wine cellar", "limit": 50})).json()["results"]
        assert [each["text"] for each in found] == ["The cellar is closed."]


async def test_an_owner_has_so_much_room_and_no_more(connection: MongoConnection, monkeypatch):
    monkeypatch.setattr(base, "MOST_PASSAGES", 4)
    knowledge = KnowledgeBase(PassageStore(connection, "shop/one"), HashingEmbedding())
    four = [Document(id=f"d{number}", text="some words") for number in range(4)]
    assert await knowledge.load([*four, four[0]], EVERYBODY) == 4
    assert await knowledge.load(four[:2], EVERYBODY) == 2
    with pytest.raises(ConflictError, match="remove documents first"):
        await knowledge.load([Document(id="more", text="some words")], EVERYBODY)
    assert await knowledge.load([Document(id="mine", text="some words")], "miller") == 1
    assert len(await knowledge.search(Search(query="words", limit=50), "miller")) == 5
    assert len(await knowledge.search(Search(query="words", limit=50), "smith")) == 4


async def test_long_documents_are_kept_in_parts(connection: MongoConnection):
    knowledge = KnowledgeBase(PassageStore(connection, "shop/one"), HashingEmbedding())
    text = "\n\n".join(f"Paragraph {number} is about item{number}. {'Filler words. ' * 60}" for number in range(250))
    count = await knowledge.load([Document(id="book", text=text)], EVERYBODY)
    assert count >= 250
    (found,) = await knowledge.search(Search(query="What is item233?", limit=1), None)
    assert "item233." in found.text


async def test_metadata_narrows_a_search(database: str, mounted: Path):
    texts = [document(f"d{n}", f"Dogs are welcome, note {n}.", metadata={"house": f"h{n % 2}"}) for n in range(10)]
    async with started(database, mounted) as agent, as_(agent, "miller") as miller:
        await miller.put("/knowledge/documents", json={"documents": texts})
        question = {"query": "dogs", "limit": 50, "filter": {"house": "h1"}}
        found = (await miller.post("/knowledge/search", json=question)).json()["results"]
        assert sorted(each["id"] for each in found) == ["d1", "d3", "d5", "d7", "d9"]
        wrong = await miller.post("/knowledge/search", json={"query": "dogs", "filter": {"$where": "1"}})
        assert wrong.status_code == 422


async def test_the_command_loads_lists_and_removes(database: str, mounted: Path):
    files = {
        "agent.json": config({**spec(database), "auth": {"anonymous": True}}).model_dump_json(by_alias=True),
        "menu.md": "# Menu\n\nSoup of the day, with bread.",
        "more.jsonl": json.dumps(document("garden", "Dogs are welcome in the garden.")) + "\n",
        "wrong.jsonl": '\n{"id": "x", "text": ""}\n',
    }
    for name, text in files.items():
        (mounted / name).write_text(text)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environ = os.environ | {
            "APM_CONFIG": str(mounted / "agent.json"),
            "APM_SECRETS_DIR": str(mounted / "secrets"),
            "PYTHONPATH": str(REPOSITORY),
        }
        command = [sys.executable, "-m", "agent_runtime", "knowledge", *arguments]
        return subprocess.run(
            command, cwd=mounted, env=environ, capture_output=True, text=True, check=False, timeout=60
        )

    loaded = run("load", "menu.md", "more.jsonl")
    assert (loaded.returncode, loaded.stdout) == (0, "loaded 2 documents in 2 passages\n"), loaded.stderr
    assert run("list").stdout == "garden\t\nmenu.md\tmenu\n"
    assert run("remove", "garden").returncode == 0
    gone = run("remove", "garden")
    assert (gone.returncode, gone.stderr) == (1, "agent_runtime: there is no document garden\n")
    wrong = run("load", "wrong.jsonl")
    assert (wrong.returncode, "wrong.jsonl, line 2: text: " in wrong.stderr) == (1, True)
    async with started(database, mounted) as agent, as_(agent, "smith") as smith:
        assert await ask(smith, "soup") == ["menu.md"]


class OtherEmbedding:
    """Vectors of another length."""

    name = "other"

    async def vectors(self, texts: list[str]) -> list[Vector]:
        return [each[:16] for each in await HashingEmbedding().vectors(texts)]


async def test_documents_of_another_embedding_are_not_compared(connection: MongoConnection):
    store = PassageStore(connection, "shop/one")
    first, second = KnowledgeBase(store, HashingEmbedding()), KnowledgeBase(store, OtherEmbedding())
    await first.load([Document(id="a", text="some words"), Document(id="b", text="other words")], EVERYBODY)
    with pytest.raises(ConflictError, match=r"embedded by hashing-.* load them again"):
        await second.search(Search(query="words"), None)
    await second.load([Document(id="a", text="some words")], EVERYBODY)
    assert [each.id for each in await second.search(Search(query="some words"), None)] == ["a"]
    assert [(each["id"], each["searchable"]) for each in await second.documents(None, 10, 0)] == [
        ("a", True),
        ("b", False),
    ]


async def test_agents_do_not_meet(connection: MongoConnection):
    one, other = (KnowledgeBase(PassageStore(connection, name), HashingEmbedding()) for name in ("a/one", "a/other"))
    await one.load([Document(id="a", text="some words")], EVERYBODY)
    assert await other.search(Search(query="words"), None) == []
    assert len(await one.search(Search(query="words"), None)) == 1


@pytest.mark.parametrize("index", [True, False])
async def test_what_an_index_finds_is_what_a_scan_finds(connection: MongoConnection, index: bool, monkeypatch):  # noqa: FBT001 - a case
    if not index:

        async def no_index(*_: object) -> str:
            return "none"

        monkeypatch.setattr(PassageStore, "_make_index", no_index)
    store = PassageStore(connection, "shop/one")
    knowledge = KnowledgeBase(store, HashingEmbedding())
    texts = [f"Order {n} of table {n % 17}: dish {n % 5} and drink {n % 7}." for n in range(300)]
    await knowledge.load([Document(id=f"d{n}", text=text) for n, text in enumerate(texts)], EVERYBODY)
    await knowledge.load([Document(id=f"own{n}", text=f"Order {n}") for n in range(3)], "miller")
    kind = await store.kind()
    assert kind is not None
    assert (kind.index == "none") is not index
    (wanted,) = await HashingEmbedding().vectors(["order 123"])
    indexed = await store.by_index(wanted, [EVERYBODY], 5) if index else ()
    assert len(indexed) == (5 if index else 0)
    best = await knowledge.search(Search(query="order 123", limit=5), None)
    assert best[0].id == "d123"
    assert [each.score for each in best] == sorted((each.score for each in best), reverse=True)
    few = await knowledge.search(Search(query="order 1", limit=50), "miller")
    assert len(few) == 50
    assert "own1" in [each.id for each in few[:3]]


async def test_a_model_makes_the_vectors(database: str, mounted: Path):
    """An agent whose documents and questions are embedded by a model in its spec, with the model's key."""
    (mounted / "secrets" / "llm").mkdir()
    (mounted / "secrets" / "llm" / "key").write_text("key-of-the-model")
    seen: list[tuple[str | None, dict[str, Any]]] = []

    async def embed(request: Request) -> JSONResponse:
        body = await request.json()
        seen.append((request.headers.get("authorization"), body))
        # By what the text is about, in any words.
        about = [[1.0, 0.1] if "dog" in text or "pet" in text else [0.1, 1.0] for text in body["input"]]
        return JSONResponse({"data": [{"index": place, "embedding": each} for place, each in enumerate(about)]})

    async with serving(Starlette(routes=[Route("/v1/embeddings", embed, methods=["POST"])])) as url:
        model = {
            "name": "vectors",
            "model": "small",
            "baseURL": f"{url}/v1",
            "apiKeySecretRef": {"name": "llm", "key": "key"},
        }
        by_model = spec(database, embeddingModel="vectors") | {"models": [model]}
        async with (
            running(by_model, secrets=mounted / "secrets", api_keys_dir=mounted / "keys") as agent,
            as_(agent, "miller") as miller,
        ):
            texts = [document("dogs", "A dog may come along."), document("hours", "Open from eleven.")]
            assert (await miller.put("/knowledge/documents", json={"documents": texts})).status_code == 200
            assert await ask(miller, "Are pets welcome?") == ["dogs", "hours"]
    assert [(key, body["model"], len(body["input"])) for key, body in seen] == [
        ("Bearer key-of-the-model", "small", 2),
        ("Bearer key-of-the-model", "small", 1),
    ]

"""An agent as an MCP server in two processes, which keep nothing between two requests but in MongoDB."""

from __future__ import annotations

import asyncio
import itertools
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import ElicitResult
from starlette.applications import Starlette
from starlette.routing import Route

from fakes.replicas import replicas
from fakes.serving import serving
from fakes.tool_server import tool_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from fakes.replicas import Replica

MODES = pytest.mark.parametrize("mode", ["auto", "legacy"])
ASKS = {
    "serve": {"mcp": True},
    "workflow": {
        "state": {"what": {"type": "string"}, "answer": {"type": "object"}},
        "start": "gate",
        "nodes": [
            {
                "name": "gate",
                "uses": "approval",
                "with": {"ask": "Publish?", "routes": {"yes": "end", "no": "end"}, "save": "answer"},
            }
        ],
    },
}


def calls(url: str) -> dict[str, Any]:
    return {
        "serve": {"mcp": True},
        "workflow": {
            "state": {"go": {"type": "string"}, "got": {"type": "any"}},
            "start": "call",
            "tools": [{"name": "t", "http": {"url": url}}],
            "nodes": [{"name": "call", "uses": "tool", "with": {"tool": "t", "save": "got"}}],
        },
    }


class Spread(httpx2.AsyncBaseTransport):
    """Sends each request to another replica than the one before, as a Service may."""

    def __init__(self, fleet: Sequence[Replica]) -> None:
        self._places = itertools.cycle(each.client.http.client.base_url.port for each in fleet)
        self._inner = httpx2.AsyncHTTPTransport()
        self.served: list[tuple[str, int]] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        port = next(self._places)
        self.served.append((json.loads(await request.aread() or b"{}").get("method", ""), port))
        request.url = request.url.copy_with(port=port)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


@asynccontextmanager
async def client(spread: Spread, mode: str) -> AsyncIterator[Client]:
    http = httpx2.AsyncClient(transport=spread, timeout=60)
    streams = streamable_http_client("http://127.0.0.1/mcp", http_client=http)
    async with http, Client(streams, mode=mode, cache=None) as made:
        yield made


@MODES
async def test_a_question_asked_by_one_replica_is_answered_at_another(mode, mongodb_uri, database, tmp_path):
    async with replicas(tmp_path, mongodb_uri, database, spec=ASKS) as fleet:
        spread = Spread(fleet)
        async with client(spread, mode) as agent:
            (tool, answering) = (await agent.list_tools()).tools
            asked = await agent.call_tool(tool.name, {"what": "news"})
            given = {"thread": asked.structured_content["thread"], "answer": "yes"}
            done = await agent.call_tool(answering.name, given)
            refused = await agent.call_tool(answering.name, given)
    assert done.structured_content["answer"] == {"choice": "yes"}
    assert refused.is_error
    assert len({port for method, port in spread.served if method == "tools/call"}) == 2


@MODES
async def test_a_form_is_filled_over_replicas(mode, mongodb_uri, database, tmp_path):
    async def fill(_: Any, __: Any) -> ElicitResult:
        return ElicitResult(action="accept", content={"choice": "no"})

    async with replicas(tmp_path, mongodb_uri, database, spec=ASKS) as fleet:
        spread = Spread(fleet)
        http = httpx2.AsyncClient(transport=spread, timeout=60)
        streams = streamable_http_client("http://127.0.0.1/mcp", http_client=http)
        async with http, Client(streams, mode=mode, cache=None, elicitation_callback=fill) as agent:
            (tool, _) = (await agent.list_tools()).tools
            done = await agent.call_tool(tool.name, {"what": "news"})
    if mode == "auto":
        assert done.structured_content["answer"] == {"choice": "no"}
        assert len({port for method, port in spread.served if method == "tools/call"}) == 2
    else:
        assert done.structured_content["status"] == "input_required"


@MODES
async def test_a_call_that_is_given_up_ends_its_run_whichever_pod_hears_of_it(mode, mongodb_uri, database, tmp_path):
    asked, over = asyncio.Event(), asyncio.Event()

    async def never(_: Any) -> None:
        asked.set()
        await over.wait()

    async with (
        serving(Starlette(routes=[Route("/x", never, methods=["POST"])])) as slow,
        replicas(tmp_path, mongodb_uri, database, spec=calls(f"{slow}/x")) as fleet,
    ):
        spread = Spread(fleet)
        async with client(spread, mode) as agent, asyncio.timeout(30):
            (tool,) = (await agent.list_tools()).tools
            call = asyncio.create_task(agent.call_tool(tool.name, {"go": "now", "_thread": "t1"}))
            await asked.wait()
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            while (await fleet[0].client.runs.list("t1"))[0]["status"] != "interrupted":  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        over.set()


async def test_the_same_call_at_another_replica_joins_the_first(mongodb_uri, database, tmp_path):
    key = {"apm.valeo-neuroerp.com/idempotencyKey": "k1"}
    async with (
        tool_server() as tool,
        replicas(tmp_path, mongodb_uri, database, spec=calls(f"{tool.url}/x")) as fleet,
        client(Spread(fleet[:1]), "auto") as one,
        client(Spread(fleet[1:]), "auto") as other,
    ):
        name = (await one.list_tools()).tools[0].name
        made = await asyncio.gather(*(each.call_tool(name, {"go": "now"}, meta=key) for each in (one, other)))
    assert len({answer.meta["apm.valeo-neuroerp.com/run"] for answer in made}) == 1
    assert len(tool.calls) == 1

"""The table of langgraph-sdk's methods in docs/api.md: it has all of them, and says what is so."""

from __future__ import annotations

import asyncio
import inspect
import re
from pathlib import Path

import httpx
import pytest
from langgraph.pregel.remote import RemoteGraph
from langgraph_sdk import get_client
from starlette.routing import Route

from agent_runtime.server.app import build_app
from fakes.agents import CHAT, ECHO, running
from fakes.sdk_calls import CALLS, Caller

SPEC = {"models": [ECHO], "workflow": CHAT}
DOCS = Path(__file__).parents[4] / "docs" / "api.md"
ROW = re.compile(r"^\| `((?:client|RemoteGraph)\.[\w.]+)` \| (.*?) \| (yes|no)\b(.*) \|$", re.MULTILINE)
ROWS = {
    method: (endpoints, supported == "yes", why) for method, endpoints, supported, why in ROW.findall(DOCS.read_text())
}
ENDPOINT = re.compile(r"`(GET|POST|PUT|PATCH|DELETE) (/[^`]*)`")


def methods() -> set[str]:
    client = get_client(url="http://127.0.0.1:1")
    found = {f"RemoteGraph.{name}" for name, one in vars(RemoteGraph).items() if _public(name, one)}
    for part in ("assistants", "threads", "runs", "crons", "store"):
        kind = type(getattr(client, part))
        found |= {f"client.{part}.{name}" for name, one in inspect.getmembers(kind) if _public(name, one)}
    assert {name for name, one in vars(client).items() if not name.startswith("_")} == {
        *("assistants", "threads", "runs", "crons", "store", "http")
    }
    return found


def _public(name: str, one: object) -> bool:
    return inspect.isfunction(one) and not name.startswith("_")


def _form(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path)


def test_the_table_has_every_method():
    assert ROWS.keys() == methods()
    assert CALLS.keys() == ROWS.keys()


def test_what_is_not_supported_has_a_reason():
    assert [method for method, (_, supported, why) in ROWS.items() if not supported and len(why) < 20] == []


async def test_the_endpoints_of_the_table_are_served():
    async with running(SPEC) as it:
        routes = [route for route in build_app(it.agent).routes if isinstance(route, Route)]
    served = {f"{verb} {_form(route.path)}" for route in routes for verb in route.methods or ()}
    told = {f"{verb} {_form(path)}" for text, _, _ in ROWS.values() for verb, path in ENDPOINT.findall(text)}
    assert told <= served
    assert all(ENDPOINT.search(text) for method, (text, _, _) in ROWS.items() if method.startswith("client."))


@pytest.mark.parametrize("method", sorted(method for method, (_, supported, _) in ROWS.items() if supported))
async def test_supported(method):
    async with running(SPEC) as it, asyncio.timeout(30):
        await CALLS[method](await Caller.at(it.client, it.url))


@pytest.mark.parametrize("method", sorted(method for method, (_, supported, _) in ROWS.items() if not supported))
async def test_refused(method):
    async with running(SPEC) as it, asyncio.timeout(30):
        caller = await Caller.at(it.client, it.url)
        with pytest.raises((httpx.HTTPStatusError, NotImplementedError)) as caught:
            await CALLS[method](caller)
        if isinstance(caught.value, httpx.HTTPStatusError):
            assert caught.value.response.status_code in {404, 405}
            assert f"({caught.value.response.status_code})" in ROWS[method][2] or method.startswith("RemoteGraph.")

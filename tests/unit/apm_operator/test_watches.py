import json
from collections.abc import AsyncIterator, Mapping
from types import SimpleNamespace
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

from apm_operator.echoes import Echoes
from apm_operator.kinds import AGENTS, PODS
from apm_operator.watches import Events, WatchMonitor


def test_a_watch_is_as_old_as_its_last_sign_of_life():
    now = 0.0
    monitor = WatchMonitor([(AGENTS, None), (PODS, "shop")], lambda: now)
    assert not monitor.all_open()
    now = 10.0
    monitor.seen("/apis/apm.valeo-neuroerp.com/v1alpha1/agentdeployments")
    now = 25.0
    assert monitor.ages() == {("agentdeployments", ""): 15.0, ("pods", "shop"): 25.0}
    monitor.seen("/api/v1/namespaces/shop/pods")
    assert monitor.all_open()
    assert monitor.ages()["pods", "shop"] == 0.0


def test_a_watch_of_something_else_does_not_count():
    monitor = WatchMonitor([(AGENTS, None)], lambda: 0.0)
    monitor.seen("/api/v1/namespaces/shop/pods")
    assert not monitor.all_open()


async def test_a_watch_takes_events_out_and_hands_on_the_rest():
    """Whole lines, however they were cut into chunks on their way."""
    bookmark = line("BOOKMARK", "13")
    stream = line("ADDED", "10") + line("MODIFIED", "11") + bookmark + line("ADDED", "12") + line("DELETED", "12")
    for cut in range(len(stream)):
        echoes = Echoes()
        echoes.expect("10")
        echoes.expect("12")
        observed, signs = [], []
        content: Any = SimpleNamespace(iter_chunked=lambda _, cut=cut: chunks(stream[:cut], stream[cut:]))
        events = Events(content, lambda signs=signs: signs.append(1), echoes, observed.append)
        assert b"".join([chunk async for chunk in events.iter_chunked(1)]) == bookmark
        assert observed == [json.loads(line("MODIFIED", "11")), json.loads(line("DELETED", "12"))]
        assert len(signs) == 2


async def test_an_event_that_can_not_be_read_does_not_end_the_watch():
    observed = []

    def observe(event: Mapping[str, Any]) -> None:
        observed.append(event["object"]["metadata"]["resourceVersion"])
        raise KeyError("spec")

    content: Any = SimpleNamespace(iter_chunked=lambda _: chunks(b'{"type":"ADDED"\n', line("ADDED", "1")))
    events = Events(content, lambda: None, Echoes(), observe)
    assert [chunk async for chunk in events.iter_chunked(1)] == []
    assert observed == ["1"]


async def test_what_is_listed_is_taken_out_of_the_answer():
    """kopf would keep all of it, in a task for each object."""
    bare = {"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "7"}}
    listed = bare | {"items": [{"a": 1}, {"a": 2}]}

    async def answer(_: web.Request) -> web.Response:
        return web.json_response(listed)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    observed: list[Mapping[str, Any]] = []
    kind = WatchMonitor([(PODS, "shop")]).response_class(Echoes(), observed.append)
    async with TestServer(app) as server, aiohttp.ClientSession(response_class=kind) as session:
        async with session.get(server.make_url("/api/v1/namespaces/shop/pods")) as response:
            assert await response.json() == bare
        async with session.get(server.make_url("/api/v1/pods")) as response:
            assert await response.json() == listed
    assert observed == [{"type": "ADDED", "object": {"a": each, "kind": "Pod"}} for each in (1, 2)]


def line(kind: str, version: str) -> bytes:
    return b'{"type":"%s","object":{"metadata":{"resourceVersion":"%s"}}}\n' % (kind.encode(), version.encode())


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part

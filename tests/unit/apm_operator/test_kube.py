"""Requests to an API server that is a fake of a few lines."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes.aio.client.configuration import Configuration

from apm_operator.errors import LeadershipLost, Unreachable
from apm_operator.kinds import SERVICES
from apm_operator.kube import Kube


class Server:
    """Keeps what it was asked; answers only while `silent` is false."""

    def __init__(self) -> None:
        self.asked: list[web.Request] = []
        self.silent = False

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append(request)
        if self.silent:
            await asyncio.Event().wait()
        return web.json_response({"metadata": {}})


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
async def kube(server: Server) -> AsyncIterator[Kube]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    async with TestServer(app) as listening:
        configuration = Configuration()
        configuration.host = str(listening.make_url("")).rstrip("/")
        kube = Kube(configuration)
        yield kube
        await kube.close()


async def test_a_write_ends_with_the_lease_here_and_at_the_server(kube: Kube, server: Server):
    kube.set_gate(lambda: 0.2)
    server.silent = True
    async with asyncio.timeout(5):
        with pytest.raises(Unreachable):
            await kube.apply(SERVICES, "shop", "one", b"{}")
    assert server.asked[0].query["timeout"] == "200ms"


async def test_a_read_needs_no_lease(kube: Kube, server: Server):
    def lost() -> float:
        raise LeadershipLost("gone")

    kube.set_gate(lost)
    await kube.get(SERVICES, "shop", "one")
    assert "timeout" not in server.asked[0].query
    with pytest.raises(LeadershipLost):
        await kube.apply(SERVICES, "shop", "one", b"{}")
    assert len(server.asked) == 1

"""Which addresses a name may lead to."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import Any

import httpcore
import pytest

from agent_runtime import outbound
from agent_runtime.addresses import GuardedBackend, forbidden
from agent_runtime.errors import CallError, CallErrorKind
from fakes.tool_server import tool_server


class Recorder(httpcore.AsyncNetworkBackend):
    """Connects to nothing, and knows what was asked for."""

    def __init__(self, *failing: str) -> None:
        self.asked: list[str] = []
        self.failing = failing

    async def connect_tcp(self, host, port, timeout=None, local_address=None, socket_options=None):  # noqa: ARG002, ASYNC109
        self.asked.append(host)
        if host in self.failing:
            raise httpcore.ConnectError(host)
        return httpcore.AsyncNetworkStream()


@pytest.fixture
def names(monkeypatch):
    """Names and their addresses; what a list holds is given out one by one, as by a server that changes its mind."""
    known: dict[str, list[list[str]]] = {}

    def look_up(host: str, port: int, *_: object) -> list[Any]:
        answers = known[host]
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return known


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.9.1",
        "::1",
        "169.254.169.254",
        "169.254.0.1",
        "fe80::1",
        "fd00:ec2::254",
        "100.100.100.200",
        "168.63.129.16",
        "0.0.0.0",  # noqa: S104 - an address to refuse
        "::",
        "224.0.0.1",
        "ff02::1",
        "::ffff:169.254.169.254",
        "::ffff:7f00:1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
    ],
)
async def test_a_name_that_leads_to_the_node_is_refused(names, address):
    names["tool.example"] = [[address]]
    inner = Recorder()
    with pytest.raises(CallError, match="nothing was sent") as caught:
        await GuardedBackend(inner).connect_tcp("tool.example", 80)
    assert caught.value.kind == CallErrorKind.REFUSED
    assert inner.asked == []


@pytest.mark.parametrize("address", ["10.96.0.10", "192.168.3.4", "93.184.216.34", "2606:2800::1", "fd12::1"])
def test_other_addresses_may_be_reached(address):
    assert forbidden(ip_address(address)) is None


async def test_one_bad_address_among_good_ones_is_enough(names):
    names["tool.example"] = [["93.184.216.34", "169.254.169.254"]]
    inner = Recorder()
    with pytest.raises(CallError):
        await GuardedBackend(inner).connect_tcp("tool.example", 80)
    assert inner.asked == []


async def test_it_connects_to_the_address_that_was_judged(names):
    names["tool.example"] = [["10.0.0.7"], ["169.254.169.254"]]
    inner = Recorder()
    await GuardedBackend(inner).connect_tcp("tool.example", 80)
    assert inner.asked == ["10.0.0.7"]
    assert names["tool.example"] == [["169.254.169.254"]], "the name was looked up once"


async def test_the_next_address_is_tried(names):
    names["tool.example"] = [["10.0.0.7", "10.0.0.8"]]
    inner = Recorder("10.0.0.7")
    await GuardedBackend(inner).connect_tcp("tool.example", 80)
    assert inner.asked == ["10.0.0.7", "10.0.0.8"]


@pytest.mark.parametrize("host", ["127.0.0.1", "169.254.169.254", "::1", "localhost"])
async def test_an_address_that_the_url_names_is_meant(host):
    inner = Recorder()
    await GuardedBackend(inner).connect_tcp(host, 80)
    assert inner.asked == [host]


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f.1"])
async def test_other_spellings_of_an_address_are_names(host):
    async with tool_server() as service, outbound.client() as http:
        port = service.url.rpartition(":")[2]
        with pytest.raises(CallError, match=r"leads to 127\.0\.0\.1"):
            await outbound.request(http, "GET", f"http://{host}:{port}/", what="it", timeout=5, headers={})
    assert service.calls == []


async def test_a_name_without_an_address_is_a_failed_connection():
    async with outbound.client() as http:
        with pytest.raises(CallError) as caught:
            await outbound.request(http, "GET", "http://no.such.invalid/", what="it", timeout=5, headers={})
    assert caught.value.kind == CallErrorKind.CONNECTION


async def test_an_address_that_is_none_is_refused():
    async with outbound.client() as http:
        with pytest.raises(CallError, match="not valid") as caught:
            await outbound.request(http, "GET", "http://0177.0.0.1/", what="it", timeout=5, headers={})
    assert caught.value.kind == CallErrorKind.REFUSED

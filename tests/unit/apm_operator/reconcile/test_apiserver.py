"""Where pods reach the API server: told, or found out and followed."""

import asyncio

import pytest

from apm_operator import errors, network
from apm_operator.queue import Key
from apm_operator.reconcile.apiserver import ApiServer, addresses
from unit.apm_operator.world import World

KEY = Key("shop", "one")
FOUND = (("10.96.0.1/32", 443), ("192.0.2.1/32", 6443))


def test_both_sides_of_the_service_are_addresses():
    service = {"clusterIP": "10.96.0.1", "clusterIPs": ["10.96.0.1", "fd00::1"], "ports": [{"port": 443}]}
    slices = [
        {"addressType": "IPv4", "endpoints": [{"addresses": ["192.0.2.1"]}], "ports": [{"port": 6443}]},
        {"addressType": "IPv6", "endpoints": [{"addresses": ["fd01::1"]}], "ports": [{"port": 6444}]},
        {"addressType": "FQDN", "endpoints": [{"addresses": ["api.example"]}], "ports": [{"port": 1}]},
    ]
    assert addresses(service, slices) == (
        ("10.96.0.1/32", 443),
        ("192.0.2.1/32", 6443),
        ("fd00::1/128", 443),
        ("fd01::1/128", 6444),
    )
    assert addresses({"clusterIPs": ["None"], "ports": [{"port": 443}]}, []) == ()


async def test_they_are_read_once_for_all(world: World):
    world.api_server_at("192.0.2.1")
    assert await world.api_server.look(KEY) == FOUND
    assert await world.api_server.look(Key("shop", "two")) == FOUND
    assert world.kube.calls == {("get", "Service"): 1, ("list", "EndpointSlice"): 1}


async def test_what_is_told_is_not_looked_for(world: World):
    told = network.read('{"apiServer": {"cidrs": ["192.0.2.9/32"], "port": 7443}}').api_server
    assert await ApiServer(world.kube, told).look(KEY) == (("192.0.2.9/32", 7443),)  # type: ignore[arg-type]
    assert world.kube.calls == {}


@pytest.mark.parametrize("kind", ["Service", "EndpointSlice"])
async def test_without_the_right_they_are_not_known(world: World, kind: str):
    world.api_server_at("192.0.2.1")
    world.kube.fail["get" if kind == "Service" else "list", kind] = [errors.Forbidden("no", status=403)]
    assert await world.api_server.look(KEY) == ()


async def test_what_may_pass_is_tried_again(world: World):
    world.api_server_at("192.0.2.1")
    world.kube.fail["list", "EndpointSlice"] = [errors.Unreachable("no answer")]
    with pytest.raises(errors.Unreachable):
        await world.api_server.look(KEY)
    assert await world.api_server.look(KEY) == FOUND


async def test_another_address_wakes_those_who_need_it(world: World):
    world.api_server_at("192.0.2.1")
    for name in ("one", "two"):
        await world.api_server.look(Key("shop", name))
    world.api_server.release(Key("shop", "two"))
    world.api_server_at("192.0.2.1", "192.0.2.2")
    woken: asyncio.Queue[Key] = asyncio.Queue()
    poll = asyncio.create_task(world.api_server.poll(0.01, woken.put_nowait))
    async with asyncio.timeout(5):
        assert await woken.get() == KEY
    poll.cancel()
    assert woken.empty()
    assert await world.api_server.look(KEY) == (*FOUND, ("192.0.2.2/32", 6443))


async def test_trouble_cuts_nobody_off_and_the_next_reading_counts(world: World):
    world.api_server_at("192.0.2.1")
    await world.api_server.look(KEY)
    world.kube.fail["get", "Service"] = [errors.Forbidden("no", status=403), errors.Unreachable("no answer")]
    world.api_server_at("192.0.2.2")
    woken: asyncio.Queue[tuple[int, Key]] = asyncio.Queue()
    calls = world.kube.calls
    poll = asyncio.create_task(
        world.api_server.poll(0.01, lambda key: woken.put_nowait((calls["get", "Service"], key)))
    )
    async with asyncio.timeout(5):
        assert await woken.get() == (4, KEY)
    poll.cancel()


async def test_nothing_is_read_for_nobody(world: World):
    poll = asyncio.create_task(world.api_server.poll(0, lambda _: None))
    for _ in range(10):
        await asyncio.sleep(0)
    poll.cancel()
    assert world.kube.calls == {}

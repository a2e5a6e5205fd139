"""What a policy learns from a Service, and that a later change of it is noticed."""

import asyncio
from typing import Any

import pytest

from apm_operator import errors
from apm_operator.manifests.networkpolicy import Target
from apm_operator.queue import Key
from apm_operator.reconcile.endpoints import ServiceName
from apm_operator.reconcile.services import Service, read, with_slices
from unit.apm_operator.world import World

KEY, LLM = Key("shop", "one"), ServiceName("models", "llm")


def test_pods_behind_a_service_are_reached_on_their_own_ports():
    ports = [{"port": 80, "targetPort": 8000}, {"port": 81, "targetPort": "admin"}, {"port": 82}]
    found = read({"selector": {"b": "2", "a": "1"}, "ports": [*ports, {"port": 53, "protocol": "UDP"}]})
    labels = (("a", "1"), ("b", "2"))
    assert found.target("models", 80) == Target((8000,), "models", labels)
    assert found.target("models", 81) == Target(("admin",), "models", labels)
    assert found.target("models", 82) == Target((82,), "models", labels)
    assert found.target("models", 53) is None
    assert found.target("models", 8000) is None


def test_a_headless_service_changes_no_port():
    found = read({"clusterIP": "None", "selector": {"a": "1"}, "ports": [{"port": 80, "targetPort": 8000}]})
    assert found.target("data", 27017) == Target((27017,), "data", (("a", "1"),))


def test_a_service_without_selector_is_what_its_slices_say():
    spec = {"ports": [{"name": "db", "port": 27017}, {"name": "other", "port": 1}]}
    slices = [
        {
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["192.0.2.7"]}, {"addresses": ["192.0.2.8"]}],
            "ports": [{"name": "db", "port": 27018, "protocol": "TCP"}],
        },
        {"addressType": "IPv6", "endpoints": [{"addresses": ["fd00::7"]}], "ports": [{"name": "db", "port": 27018}]},
        {"addressType": "FQDN", "endpoints": [{"addresses": ["db.example"]}], "ports": []},
    ]
    found = with_slices(spec, slices)
    cidrs = ("192.0.2.7/32", "192.0.2.8/32", "fd00::7/128")
    assert found.target("shop", 27017) == Target((27018,), "shop", (), cidrs)
    assert found.target("shop", 1) is None
    assert with_slices(spec, []).target("shop", 27017) is None


def test_an_external_name_is_a_name():
    assert read({"type": "ExternalName", "externalName": "db.example"}) == Service(external="db.example")


async def test_a_service_is_read_once_for_all_agents(world: World):
    world.service("llm", "models")
    first = await world.services.look(KEY, [LLM])
    assert await world.services.look(Key("shop", "two"), [LLM]) == first
    assert world.kube.calls == {("get", "Service"): 1}


@pytest.mark.parametrize(("error", "state"), [(None, "missing"), (errors.Forbidden("no", status=403), "forbidden")])
async def test_what_can_not_be_read_is_told(world: World, error: errors.ApiError | None, state: str):
    if error:
        world.kube.fail["get", "Service"] = [error]
    assert await world.services.look(KEY, [LLM]) == {LLM: state}


async def test_a_service_made_later_wakes_those_who_wait_for_it(world: World):
    await world.services.look(KEY, [LLM])
    world.service("llm", "models")
    woken: asyncio.Queue[Key] = asyncio.Queue()
    poll = asyncio.create_task(world.services.poll(0.01, woken.put_nowait))
    async with asyncio.timeout(5):
        assert await woken.get() == KEY
    poll.cancel()
    found: Any = (await world.services.look(KEY, [LLM]))[LLM]
    assert found.target("models", 80) == Target((8000,), "models", (("app", "llm"),))


async def test_a_right_that_is_taken_away_cuts_nobody_off(world: World):
    world.service("llm", "models")
    await world.services.look(KEY, [LLM])
    world.kube.fail["get", "Service"] = [errors.Forbidden("no", status=403)]
    world.service("llm", "models", selector={"app": "other"})
    woken: asyncio.Queue[Key] = asyncio.Queue()
    poll = asyncio.create_task(world.services.poll(0.01, woken.put_nowait))
    async with asyncio.timeout(5):
        await woken.get()
    poll.cancel()
    assert world.kube.calls == {("get", "Service"): 3}


async def test_a_service_that_nobody_uses_is_forgotten(world: World):
    await world.services.look(KEY, [LLM])
    world.services.release(KEY)
    await world.services.look(KEY, [LLM])
    assert world.kube.calls == {("get", "Service"): 2}

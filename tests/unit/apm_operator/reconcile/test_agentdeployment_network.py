"""The network policy in a pass: it follows neighbours, callers and Secrets, and says what it can't open."""

import asyncio
from typing import Any

import pytest

from apm_operator.errors import ApiError, Forbidden, NotFound
from apm_operator.network import read
from apm_operator.queue import Key
from unit.apm_operator.agents import GRANTABLE, body
from unit.apm_operator.world import KEY, STATE, World

OPENAI = {"name": "default", "provider": "openai", "model": "m", "baseURL": "http://llm.models.svc/v1"}


def ports(world: World, direction: str) -> set[Any]:
    return {port["port"] for rule in world.policy[direction] for port in rule.get("ports", ())}


async def test_a_service_is_opened_and_a_missing_one_is_told_once(world: World):
    world.write(models=[OPENAI])
    await world.reconcile()
    assert (world.network["status"], world.network["reason"]) == ("False", "TargetsUnknown")
    assert "Service llm in namespace models does not exist" in world.network["message"]
    await world.reconcile()
    assert world.events() == ["TargetsUnknown"]
    world.service("llm", "models")
    world.services.release(KEY)
    await world.reconcile()
    assert (world.network["status"], world.network["reason"]) == ("True", "TargetsKnown")
    assert 8000 in ports(world, "egress")


async def test_mongodb_is_opened_by_the_uri_and_follows_its_rotation(world: World):
    world.secret("mongodb://user:geheim@192.0.2.7:27018/")
    world.write(state=STATE)
    await world.reconcile()
    assert 27018 in ports(world, "egress")
    world.secret("mongodb://user:geheim@192.0.2.7:27019/", version="2")
    world.secrets.release(KEY)
    await world.reconcile()
    assert {27018, 27019} & ports(world, "egress") == {27019}
    assert "geheim" not in str(world.kube.objects.values()).replace("Secret", "")


@pytest.mark.parametrize("gone", [NotFound("gone", status=404), Forbidden("no", status=403)])
async def test_pods_that_run_keep_mongodb_when_its_secret_goes(world: World, gone: ApiError):
    world.secret("mongodb://user:geheim@192.0.2.7:27018/")
    world.write(state=STATE)
    await world.reconcile()
    woken: asyncio.Queue[Key] = asyncio.Queue()
    world.kube.fail["get", "Secret"] = [gone]
    poll = asyncio.create_task(world.secrets.poll(0.01, woken.put_nowait))
    async with asyncio.timeout(5):
        assert await woken.get() == KEY
    poll.cancel()
    await world.reconcile()
    assert 27018 in ports(world, "egress")


async def test_a_uri_that_is_none_is_told_without_it(world: World):
    world.secret("mongodb://user:geheim/x@192.0.2.7/")
    world.write(state=STATE)
    await world.reconcile()
    assert "key uri of Secret apm-mongodb" in world.network["message"]
    assert "geheim" not in str(world.status)


async def test_an_agent_that_begins_to_call_is_let_in_and_one_that_ceases_is_not(world: World):
    world.write()
    await world.reconcile()
    closed = world.policy
    asking = {"start": "a", "nodes": [{"name": "a", "uses": "agent", "with": {"ref": "one"}}]}
    told = world.cache.observe(body("two", version="900", workflow=asking), deleted=False)
    assert told == (Key("shop", "two"), KEY)
    await world.reconcile()
    (rule,) = world.policy["ingress"]
    values = [peer["podSelector"]["matchExpressions"][0]["values"] for peer in rule["from"]]
    assert values == [["two"]]
    world.kube.calls.clear()
    assert (await world.reconcile()).result == "unchanged"
    assert KEY in world.cache.observe(body("two", version="901", generation=2), deleted=False)
    await world.reconcile()
    assert world.policy == closed


async def test_a_restart_writes_nothing_whatever_the_order_of_the_list(world: World):
    world.service("llm", "models")
    asking = {"start": "a", "nodes": [{"name": "a", "uses": "agent", "with": {"ref": "one"}}]}
    caller = body("two", version="900", workflow=asking)
    world.cache.observe(caller, deleted=False)
    world.write(models=[OPENAI], network={"ingressFrom": [{"agent": "far", "namespace": "away"}]})
    await world.reconcile()
    world.kube.objects["AgentDeployment", "shop", "two"] = caller
    service = world.kube.objects.pop(("Service", "models", "llm"))
    world.restart()
    world.kube.objects["Service", "models", "llm"] = service
    assert (await world.reconcile()).result == "unchanged"
    assert world.kube.writes() == {}


async def test_what_was_told_of_the_network_stays_while_nothing_is_looked_at(world: World):
    world.write(models=[OPENAI])
    await world.reconcile()
    before = world.network
    world.write(models=[OPENAI], suspend=True)
    await world.reconcile()
    assert world.ready[1] == "Suspended"
    assert world.network == before


async def test_an_agent_with_permissions_needs_the_address_of_the_api_server(world: World):
    rule = {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}
    world.write(permissions=[rule])
    await world.reconcile()
    assert "network.apiServer.cidrs" in world.network["message"]
    world.cluster = read('{"apiServer": {"cidrs": ["192.0.2.1/32"], "port": 7443}}')
    world.restart()
    world.reconciler.grantable = GRANTABLE
    await world.reconcile()
    assert world.network["status"] == "True"
    assert 7443 in ports(world, "egress")
    world.write()
    await world.reconcile()
    assert 7443 not in ports(world, "egress")


async def test_the_api_server_is_found_without_being_told(world: World):
    world.api_server_at("192.0.2.1")
    world.reconciler.grantable = GRANTABLE
    world.write(permissions=[{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}])
    await world.reconcile()
    assert world.network["status"] == "True"
    assert {443, 6443} <= ports(world, "egress")
    world.kube.calls.clear()
    assert (await world.reconcile()).result == "unchanged"
    assert world.kube.calls == {}


async def test_a_circle_of_sinks_is_told_once_to_each_agent_of_it(world: World):
    world.write(events={"sinks": [{"name": "on", "agent": "two"}]})
    await world.reconcile()
    assert "EventsLoop" not in world.events()
    back = {"sinks": [{"name": "back", "agent": "one"}]}
    assert KEY in world.cache.observe(body("two", version="900", events=back), deleted=False)
    await world.reconcile()
    await world.reconcile()
    assert world.events().count("EventsLoop") == 1
    (rule,) = world.policy["ingress"]
    assert [peer["podSelector"]["matchExpressions"][0]["values"] for peer in rule["from"]] == [["two"]]
    assert {8080, 8443} & ports(world, "egress")

"""Push notifications of A2A: set by the official client, received by a server."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from a2a.client import A2ACardResolver, ClientConfig, ClientFactory
from a2a.types.a2a_pb2 import (
    AuthenticationInfo,
    CancelTaskRequest,
    DeleteTaskPushNotificationConfigRequest,
    GetTaskPushNotificationConfigRequest,
    ListTaskPushNotificationConfigsRequest,
    StreamResponse,
    TaskPushNotificationConfig,
)
from a2a.utils.errors import InvalidParamsError, PushNotificationNotSupportedError, TaskNotFoundError
from google.protobuf.json_format import ParseDict

from agent_runtime.state.records import Hook, now
from fakes.a2a import CANCELED, COMPLETED, INPUT_REQUIRED, client, message, sent
from fakes.agents import CHAT, ECHO, running
from fakes.authority import swap
from fakes.tool_server import ToolServer, tool_server

if TYPE_CHECKING:
    from a2a.types.a2a_pb2 import Task

TOKEN = "t0ken-of-mine"  # noqa: S105 - of this test
KEYS = {"alice": "alices-very-secret-key", "bob": "bobs-very-secret-key-too"}
SLOW = {"name": "default", "provider": "scripted", "script": [{"reply": "done", "delay": "30s"}]}


def spec(hooks: ToolServer, **more: Any) -> dict[str, Any]:
    return {"models": [ECHO], "workflow": CHAT, "runs": {"webhooks": {"origins": [hooks.url]}}, **more}


def config(hooks: ToolServer, task: str = "", **more: Any) -> TaskPushNotificationConfig:
    return TaskPushNotificationConfig(task_id=task, url=f"{hooks.url}/told", token=TOKEN, **more)


async def told(hooks: ToolServer, count: int) -> list[Task]:
    """The tasks that were told of, once so many were."""
    async with asyncio.timeout(20):
        while len(hooks.calls) < count:  # noqa: ASYNC110 - polled with a deadline
            await asyncio.sleep(0.01)
    return [ParseDict(json.loads(call.body), StreamResponse()).task for call in hooks.calls]


async def test_a_client_is_told_how_its_task_ended_with_its_token():
    async with tool_server(503) as hooks, running(spec(hooks)) as it, client(it.url, streaming=False) as caller:
        request = message("hello")
        proof = AuthenticationInfo(scheme="Bearer", credentials="my-credentials")
        request.configuration.task_push_notification_config.CopyFrom(config(hooks, authentication=proof))
        task = await sent(caller, request)
        got = await told(hooks, 2)
        shown = await it.client.runs.list(task.context_id)
    assert [(one.id, one.status.state) for one in got] == [(task.id, COMPLETED)] * 2, "503 is tried again"
    assert got[1].artifacts[0].parts[0].text == "You said: hello"
    assert hooks.calls[1].headers["x-a2a-notification-token"] == "t0ken-of-mine"
    assert hooks.calls[1].headers["authorization"] == "Bearer my-credentials"
    assert "t0ken-of-mine" not in json.dumps(shown)


async def test_configs_are_set_listed_and_deleted():
    slow = {"models": [SLOW]}
    async with tool_server() as hooks, running(spec(hooks, **slow)) as it, client(it.url, streaming=False) as caller:
        request = message("hello")
        request.configuration.return_immediately = True
        task = await sent(caller, request)
        first = await caller.create_task_push_notification_config(config(hooks, task.id, id="one"))
        second = await caller.create_task_push_notification_config(config(hooks, task.id))
        found = await caller.list_task_push_notification_configs(
            ListTaskPushNotificationConfigsRequest(task_id=task.id)
        )
        got = await caller.get_task_push_notification_config(
            GetTaskPushNotificationConfigRequest(task_id=task.id, id="one")
        )
        await caller.delete_task_push_notification_config(
            DeleteTaskPushNotificationConfigRequest(task_id=task.id, id=second.id)
        )
        with pytest.raises(TaskNotFoundError):
            await caller.get_task_push_notification_config(
                GetTaskPushNotificationConfigRequest(task_id=task.id, id=second.id)
            )
        await caller.cancel_task(CancelTaskRequest(id=task.id))
        (ended,) = await told(hooks, 1)
    assert {one.id for one in found.configs} == {"one", second.id}
    assert (got.url, got.token) == (first.url, "t0ken-of-mine") == (f"{hooks.url}/told", "t0ken-of-mine")
    assert ended.status.state == CANCELED


async def test_questions_are_told_and_what_comes_after_them():
    own = {"graph": "fakes.asking:build"}
    async with tool_server() as hooks:
        given = {name: each for name, each in spec(hooks, **own).items() if name not in {"workflow", "models"}}
        async with running(given) as it, client(it.url, streaming=False) as caller:
            task = await sent(caller, message("Publish"))
            # Set when the agent already waits: told at once.
            await caller.create_task_push_notification_config(config(hooks, task.id))
            await told(hooks, 1)
            await sent(caller, message("Yes", task=task.id))
            await told(hooks, 2)
            await sent(caller, message({"by": "Bob"}, task=task.id))
            got = await told(hooks, 3)
    assert [one.status.state for one in got] == [INPUT_REQUIRED, INPUT_REQUIRED, COMPLETED]
    assert {one.id for one in got} == {task.id}


async def test_addresses_that_the_spec_does_not_allow_are_refused():
    async with tool_server() as hooks, running(spec(hooks)) as it, client(it.url, streaming=False) as caller:
        task = await sent(caller, message("hello"))
        for url in ("https://elsewhere.example/", "http://169.254.169.254/", f"{hooks.url}@elsewhere.example/"):
            with pytest.raises(InvalidParamsError, match="origin that the agent allows"):
                await caller.create_task_push_notification_config(TaskPushNotificationConfig(task_id=task.id, url=url))
        bad = message("again")
        bad.configuration.task_push_notification_config.url = "https://elsewhere.example/"
        with pytest.raises(InvalidParamsError):
            await sent(caller, bad)
        assert len(await it.client.threads.search()) == 1, "nothing was begun"
    assert hooks.calls == []


async def test_configs_of_others_are_not_there(tmp_path):
    swap(tmp_path / "keys", KEYS)
    auth = {"auth": {"anonymous": False, "apiKeys": {"secretRef": {"name": "callers"}}}}
    async with (
        tool_server() as hooks,
        running(spec(hooks, **auth), api_keys_dir=tmp_path / "keys") as it,
        client(it.url, {"x-api-key": KEYS["alice"]}, streaming=False) as alice,
        client(it.url, {"x-api-key": KEYS["bob"]}, streaming=False) as bob,
    ):
        task = await sent(alice, message("mine"))
        for attempt in (
            bob.create_task_push_notification_config(config(hooks, task.id)),
            bob.list_task_push_notification_configs(ListTaskPushNotificationConfigsRequest(task_id=task.id)),
            bob.delete_task_push_notification_config(
                DeleteTaskPushNotificationConfigRequest(task_id=task.id, id="one")
            ),
        ):
            with pytest.raises(TaskNotFoundError):
                await attempt
    assert hooks.calls == []


async def test_a_changed_config_takes_its_notifications_along():
    async with (
        tool_server(503) as old,
        tool_server() as new,
        running(spec(old, runs={"webhooks": {"origins": [old.url, new.url]}})) as it,
        client(it.url, streaming=False) as caller,
    ):
        request = message("hello")
        request.configuration.task_push_notification_config.CopyFrom(config(old, id="one"))
        task = await sent(caller, request)
        await told(old, 1)
        changed = config(new, task.id, id="one")
        changed.token = TOKEN + "2"
        await caller.create_task_push_notification_config(changed)
        await told(new, 1)
    assert [call.headers["x-a2a-notification-token"] for call in old.calls] == [TOKEN]
    assert {call.headers["x-a2a-notification-token"] for call in new.calls} == {TOKEN + "2"}


async def test_nothing_goes_where_the_spec_no_longer_allows_it():
    async with tool_server() as hooks, running(spec(hooks)) as it:
        webhooks = it.agent.webhooks
        assert webhooks is not None
        kept = Hook("h1", "r1", "t1", 1, "https://elsewhere.example/", {}, now())
        await webhooks.deliver(kept)
        async with asyncio.timeout(10):
            while await it.agent.store.due_hooks(now() + timedelta(days=1), 1):  # noqa: ASYNC110 - polled with a deadline
                await asyncio.sleep(0.01)
    assert hooks.calls == []


async def test_a_client_of_version_0_3_is_told_in_its_words():
    async with (
        tool_server() as hooks,
        running(spec(hooks)) as it,
        httpx.AsyncClient(timeout=30) as http,
    ):
        card = await A2ACardResolver(http, it.url).get_agent_card()
        assert card.capabilities.push_notifications
        del card.supported_interfaces[0]
        caller = ClientFactory(ClientConfig(httpx_client=http, streaming=False)).create(card)
        task = await sent(caller, message("hello"))
        kept = await caller.create_task_push_notification_config(config(hooks, task.id, id="one"))
        found = await caller.list_task_push_notification_configs(
            ListTaskPushNotificationConfigsRequest(task_id=task.id)
        )
        async with asyncio.timeout(20):
            while not hooks.calls:  # noqa: ASYNC110 - polled with a deadline
                await asyncio.sleep(0.01)
    got = json.loads(hooks.calls[0].body)
    assert (kept.id, [one.id for one in found.configs]) == ("one", ["one"])
    assert (got["kind"], got["id"], got["status"]["state"]) == ("task", task.id, "completed")


async def test_an_agent_without_webhooks_says_so():
    async with running({"models": [ECHO], "workflow": CHAT}) as it, client(it.url) as caller:
        with pytest.raises(PushNotificationNotSupportedError):
            await caller.create_task_push_notification_config(TaskPushNotificationConfig(task_id="t", url="https://x"))

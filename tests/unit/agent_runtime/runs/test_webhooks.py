from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any

import pytest
from langgraph_sdk.errors import UnprocessableEntityError

from agent_runtime.errors import InputError
from agent_runtime.runs import webhooks
from agent_runtime.runs.webhooks import check_webhook
from agent_runtime.spec.runs import WebhooksSpec
from fakes.agents import CHAT, ECHO, last_text, person, running
from fakes.tool_server import tool_server

if TYPE_CHECKING:
    from fakes.tool_server import ToolServer

ALLOWED = WebhooksSpec(origins=("https://hooks.example.org", "http://127.0.0.1:8080"))


@pytest.mark.parametrize("url", ["https://hooks.example.org/a?b=1", "http://127.0.0.1:8080/"])
def test_allowed_origins(url):
    check_webhook(url, ALLOWED)


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.org/",
        "https://hooks.example.org:8443/",
        "https://hooks.example.org.evil.test/",
        "https://user@hooks.example.org/",
        "https://hooks.example.org@evil.test/",
        "http://127.0.0.1/",
        "http://169.254.169.254/latest",
        "/runs",
        "http://[::1",
        "file:///etc/passwd",
    ],
)
def test_other_origins_are_refused(url):
    with pytest.raises(InputError):
        check_webhook(url, ALLOWED)
    with pytest.raises(InputError):
        check_webhook(url, None)


def _spec(hooks: ToolServer, **options: Any) -> dict[str, Any]:
    return {"models": [ECHO], "workflow": CHAT, "runs": {"webhooks": {"origins": [hooks.url], **options}}}


async def _called(hooks: ToolServer, times: int = 1) -> list[dict[str, Any]]:
    async with asyncio.timeout(10):
        while len(hooks.calls) < times:  # noqa: ASYNC110 - polled with a deadline
            await asyncio.sleep(0.01)
    return [json.loads(call.body) for call in hooks.calls]


async def test_values_that_are_too_large_to_keep_are_left_out(monkeypatch):
    monkeypatch.setattr(webhooks, "LARGEST", 1000)
    async with tool_server() as hooks, running(_spec(hooks)) as it:
        thread = (await it.client.threads.create())["thread_id"]
        run = await it.client.runs.create(thread, "agent", input=person("x" * 1000), webhook=f"{hooks.url}/done")
        [body] = await _called(hooks)
        assert (body["run_id"], body["status"], body["values"]) == (run["run_id"], "success", None)
        assert "messages" in await it.client.runs.join(thread, run["run_id"])


async def test_the_end_of_a_run_is_sent():
    async with tool_server() as hooks, running(_spec(hooks)) as it:
        thread = (await it.client.threads.create())["thread_id"]
        run = await it.client.runs.create(
            thread, "agent", input=person("hi"), webhook=f"{hooks.url}/done", metadata={"order": 7}
        )
        [body] = await _called(hooks)
        assert hooks.calls[0].path == "/done"
        assert (body["run_id"], body["thread_id"]) == (run["run_id"], thread)
        assert (body["status"], body["metadata"], body["error"]) == ("success", {"order": 7}, None)
        assert last_text(body["values"]) == "You said: hi"
        assert (await it.client.runs.get(thread, run["run_id"]))["status"] == "success"


async def test_the_body_is_signed_where_there_is_a_key(tmp_path):
    (tmp_path / "hooks").mkdir()
    (tmp_path / "hooks" / "key").write_text("of-the-hooks")
    ref = {"signingKeySecretRef": {"name": "hooks", "key": "key"}}
    async with tool_server() as hooks, running(_spec(hooks, **ref), secrets=tmp_path) as it:
        await it.client.runs.wait(None, "agent", input=person("hi"), webhook=hooks.url)
        await _called(hooks)
        headers = hooks.calls[0].headers
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + hooks.calls[0].body
        digest = base64.b64encode(hmac.new(b"of-the-hooks", signed, hashlib.sha256).digest()).decode()
        assert headers["webhook-signature"] == f"v1,{digest}"


async def test_a_failed_webhook_is_sent_again(monkeypatch):
    monkeypatch.setattr(webhooks, "_POLL", 0.05)
    async with tool_server(503, 429) as hooks, running(_spec(hooks)) as it:
        await it.client.runs.wait(None, "agent", input=person("hi"), webhook=hooks.url)
        bodies = await _called(hooks, 3)
        assert len({body["run_id"] for body in bodies}) == 1
        assert len({call.headers["webhook-id"] for call in hooks.calls}) == 1
        async with asyncio.timeout(5):
            while it.agent.store._hooks:  # noqa: ASYNC110 - polled with a deadline
                await asyncio.sleep(0.01)


async def test_a_webhook_that_is_refused_is_given_up():
    async with tool_server(404) as hooks, running(_spec(hooks)) as it:
        await it.client.runs.wait(None, "agent", input=person("hi"), webhook=hooks.url)
        await _called(hooks)
        async with asyncio.timeout(5):
            while it.agent.store._hooks:  # noqa: ASYNC110 - polled with a deadline
                await asyncio.sleep(0.01)
        assert it.agent.metrics.webhooks.labels("given up")._value.get() == 1


async def test_a_run_that_waits_tells_that_it_was_cancelled():
    async with tool_server() as hooks, running(_spec(hooks)) as it:
        thread = (await it.client.threads.create())["thread_id"]
        run = await it.client.runs.create(thread, "agent", input=person("hi"), webhook=hooks.url, after_seconds=60)
        await it.client.runs.cancel(thread, run["run_id"])
        [body] = await _called(hooks)
        assert (body["status"], body["values"]) == ("interrupted", None)


async def test_a_webhook_elsewhere_is_refused():
    async with tool_server() as hooks, running(_spec(hooks)) as it:
        with pytest.raises(UnprocessableEntityError, match="must begin with an origin"):
            await it.client.runs.create(None, "agent", input=person("hi"), webhook="http://169.254.169.254/")
        assert await it.client.threads.search() == []

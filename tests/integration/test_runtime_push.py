"""Push notifications of A2A, from two processes over one MongoDB, one of which dies."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from a2a.types.a2a_pb2 import TaskPushNotificationConfig

from fakes.a2a import client, message, sent
from fakes.replicas import replicas
from fakes.tool_server import tool_server

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "t0ken-of-mine"  # noqa: S105 - of this test


async def test_a_client_is_told_although_the_pod_died_that_worked_for_it(mongodb_uri, database, tmp_path):
    async with tool_server() as hooks:
        spec = {"graph": "fakes.steps:graph", "runs": {"webhooks": {"origins": [hooks.url]}}}
        async with replicas(tmp_path, mongodb_uri, database, spec=spec) as fleet:
            urls = [str(each.client.http.client.base_url).rstrip("/") for each in fleet]
            file = tmp_path / "told"
            async with client(urls[0], streaming=False) as caller:
                request = message({"file": str(file), "pause": 1.0, "done": []})
                request.configuration.return_immediately = True
                task = await sent(caller, request)
            wanted = TaskPushNotificationConfig(task_id=task.id, url=f"{hooks.url}/told", token=TOKEN)
            async with client(urls[1], streaming=False) as other:
                await other.create_task_push_notification_config(wanted)
            worker = await _worker(file)
            next(each for each in fleet if each.pid == worker).kill()
            async with asyncio.timeout(60):
                while not hooks.calls:  # noqa: ASYNC110 - polled with a deadline
                    await asyncio.sleep(0.05)
    told = json.loads(hooks.calls[0].body)["task"]
    assert (told["id"], told["status"]["state"]) == (task.id, "TASK_STATE_COMPLETED")
    assert hooks.calls[0].headers["x-a2a-notification-token"] == TOKEN
    assert told["artifacts"][0]["parts"][0]["data"]["done"] == ["one", "two", "three"]


async def _worker(file: Path) -> int:
    """The process that has begun the first step."""
    async with asyncio.timeout(20):
        while not file.exists() or not file.read_text():  # noqa: ASYNC240, ASYNC110 - polled with a deadline
            await asyncio.sleep(0.02)
    return int(file.read_text().split()[2])  # noqa: ASYNC240

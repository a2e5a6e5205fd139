"""Node `agent` against a server of the official library."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import uvicorn
from a2a.helpers import new_task_from_user_message
from a2a.server.agent_execution import AgentExecutor, RequestContext
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.server.routes import create_agent_card_routes, create_jsonrpc_routes
from a2a.server.tasks import InMemoryTaskStore, TaskUpdater
from a2a.types.a2a_pb2 import (
    AgentCapabilities,
    AgentCard,
    AgentInterface,
    AgentSkill,
    Part,
)
from starlette.applications import Starlette

from agent_runtime.a2a.protocol import TIMEOUT_HEADER
from agent_runtime.workflow.peer import HOPS_HEADER
from fakes.agents import last_text, person, running
from fakes.serving import free_port, serving_as

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from a2a.server.events import EventQueue

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@dataclass
class Executor(AgentExecutor):
    """Repeats what it hears in two pieces; asks or waits where it is told to."""

    heard: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        text = context.get_user_input()
        self.heard.append(text)
        if context.call_context is not None:
            self.headers.append(dict(context.call_context.state["headers"]))
        assert context.task_id
        assert context.context_id
        updater = TaskUpdater(event_queue, context.task_id, context.context_id)
        if context.current_task is None:
            assert context.message is not None
            await event_queue.enqueue_event(new_task_from_user_message(context.message))
        await updater.start_work()
        self.begun.set()
        if text == "wait":
            await asyncio.Event().wait()
        if text == "ask":
            await updater.requires_input(updater.new_agent_message([Part(text="How many?")]))
            return
        await updater.add_artifact([Part(text="I heard ")], artifact_id="a")
        await updater.add_artifact([Part(text=text)], artifact_id="a", append=True, last_chunk=True)
        await updater.complete()

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        assert context.task_id
        assert context.context_id
        await TaskUpdater(event_queue, context.task_id, context.context_id).cancel()
        self.cancelled.set()


@asynccontextmanager
async def official(executor: Executor, *, streaming: bool = True) -> AsyncIterator[str]:
    """An agent made with the official library; gives its address."""

    listener, port = free_port()
    listener.close()
    card = AgentCard(name="official", description="Repeats.", version="1")
    card.default_input_modes.append("text/plain")
    card.default_output_modes.append("text/plain")
    card.skills.append(AgentSkill(id="repeat", name="Repeat", description="Repeats.", tags=["test"]))
    card.capabilities.CopyFrom(AgentCapabilities(streaming=streaming))
    card.supported_interfaces.append(
        AgentInterface(url=f"http://127.0.0.1:{port}/rpc", protocol_binding="JSONRPC", protocol_version="1.0")
    )
    handler = DefaultRequestHandler(executor, InMemoryTaskStore(), card)
    app = Starlette(routes=[*create_agent_card_routes(card), *create_jsonrpc_routes(handler, "/rpc")])
    config = uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=5)
    try:
        async with serving_as(config, port) as url:
            yield url
    finally:
        await handler.aclose()


def asking(url: str, **limits: Any) -> dict[str, Any]:
    node = {"name": "ask", "uses": "agent", "with": {"url": url}}
    return {"workflow": {"start": "ask", "nodes": [node], **limits}}


async def test_its_answer_is_streamed_and_all_goes_along():
    executor = Executor()
    async with official(executor) as url, running(asking(url, limits={"wallClock": "30s"})) as it:
        heard = [
            part.data["text"]
            async for part in it.client.runs.stream(
                None, "agent", input=person("hi"), stream_mode="custom", headers={"traceparent": TRACE}
            )
            if part.event == "custom"
        ]
    (headers,) = executor.headers
    assert heard == ["I heard ", "hi"]
    assert headers["traceparent"] == TRACE
    assert headers[HOPS_HEADER] == "1"
    assert headers["idempotency-key"]
    assert 0 < float(headers[TIMEOUT_HEADER]) <= 30


async def test_one_without_streams_is_asked_for_its_task():
    executor = Executor()
    async with official(executor, streaming=False) as url, running(asking(url)) as it:
        values = await it.client.runs.wait(None, "agent", input=person("hi"))
    assert last_text(values) == "I heard hi"


async def test_its_questions_are_interrupts_and_each_answer_goes_on_with_its_task_once():
    executor = Executor()
    async with official(executor) as url, running(asking(url)) as it:
        thread = (await it.client.threads.create())["thread_id"]
        asked = await it.client.runs.wait(thread, "agent", input=person("ask"))
        again = await it.client.runs.wait(thread, "agent", command={"resume": "ask"})
        values = await it.client.runs.wait(thread, "agent", command={"resume": "five"})
    assert [one["value"] for run in (asked, again) for one in run["__interrupt__"]] == ["How many?", "How many?"]
    assert last_text(values) == "I heard five"
    assert executor.heard == ["ask", "ask", "five"], "the library takes a message as often as it comes"


async def test_its_task_is_cancelled_with_the_run():
    executor = Executor()
    async with official(executor) as url, running(asking(url)) as it:
        thread = (await it.client.threads.create())["thread_id"]
        run = await it.client.runs.create(thread, "agent", input=person("wait"))
        async with asyncio.timeout(20):
            await executor.begun.wait()
            await it.client.runs.cancel(thread, run["run_id"], wait=True)
            await executor.cancelled.wait()

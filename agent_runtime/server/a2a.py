"""The agent card, and the endpoint that takes JSON-RPC."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from starlette.responses import Response
from starlette.routing import Route

from agent_runtime.a2a.card import card
from agent_runtime.a2a.errors import (
    A2AError,
    InvalidParamsError,
    MethodNotFoundError,
    PushNotificationNotSupportedError,
    TaskNotFoundError,
    UnsupportedOperationError,
)
from agent_runtime.a2a.protocol import (
    CARD_PATH,
    PATH,
    VERSION_HEADER,
    ListRequest,
    PushConfig,
    PushRequest,
    SendRequest,
    TaskRequest,
)
from agent_runtime.a2a.push import NOT_SUPPORTED
from agent_runtime.a2a.rpc import Envelope, check_version, decoded, identifier, parse
from agent_runtime.a2a.stream import responses
from agent_runtime.a2a.tasks import Tasks
from agent_runtime.errors import AgentError, ConflictError, InputError, NotFoundError
from agent_runtime.runs.encode import dumps
from agent_runtime.runs.spoken import silent_nodes
from agent_runtime.server.address import own_address
from agent_runtime.server.bodies import hold
from agent_runtime.server.follow import FollowingResponse, with_pauses
from agent_runtime.server.wire import agent_of, caller, principal_of, reply

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

    from agent_runtime.a2a.task import Task
    from agent_runtime.auth.principal import Principal
    from agent_runtime.server.intake import Intake

_STREAM = {"cache-control": "no-store", "x-accel-buffering": "no"}
_ANSWERS: dict[type[AgentError], type[A2AError]] = {
    ConflictError: UnsupportedOperationError,
    InputError: InvalidParamsError,
    NotFoundError: TaskNotFoundError,
}
"""What the runtime's own errors are in the protocol; all others are told by the status of HTTP."""


async def agent_card(request: Request) -> Response:
    headers = {"cache-control": "no-cache", "vary": "host"}
    return reply(card(agent_of(request).config, own_address(request) + PATH), headers=headers)


async def a2a(request: Request) -> Response:
    intake: Intake = request.app.state.intake
    text = await intake.read(request.stream())
    asked = Envelope()
    try:
        hold(request, body := decoded(text))
        asked = Envelope(identifier(body))
        asked = parse(body)
        check_version(request.headers.get(VERSION_HEADER, ""), asked)
        return await _answer(request, asked)
    except AgentError as error:
        return reply(asked.failure(_of_protocol(error)))


async def _answer(request: Request, asked: Envelope) -> Response:
    tasks = Tasks(agent_of(request))
    match asked.method:
        case "SendMessage":
            return await _sent(request, tasks, asked)
        case "SendStreamingMessage":
            task = await tasks.send(asked.read(SendRequest), caller(request), streams=True)
            return _streamed(request, tasks, task, asked)
        case "SubscribeToTask":
            task = await tasks.get(asked.read(TaskRequest).id, principal_of(request))
            if task.state.terminal:
                raise UnsupportedOperationError(f"task {task.id} has ended: {task.state}; get it by GetTask")
            return _streamed(request, tasks, task, asked)
    return reply(asked.success(await _told(request, tasks, asked)))


async def _told(request: Request, tasks: Tasks, asked: Envelope) -> dict[str, Any]:
    """The results of methods that wait for nothing."""
    principal = principal_of(request)
    match asked.method:
        case "GetTask":
            wanted = asked.read(TaskRequest)
            return (await tasks.get(wanted.id, principal)).as_json(wanted.history_length)
        case "CancelTask":
            return (await tasks.cancel(asked.read(TaskRequest).id, principal)).as_json()
        case "ListTasks":
            return await _listed(tasks, asked.read(ListRequest), principal)
        case "GetExtendedAgentCard":
            return card(agent_of(request).config, own_address(request) + PATH, extended=True)
    if "PushNotificationConfig" in asked.method:
        return await _push(request, tasks, asked)
    raise MethodNotFoundError(f"this agent has no method {asked.method[:100]}")


async def _push(request: Request, tasks: Tasks, asked: Envelope) -> dict[str, Any]:
    """Sets, gets, lists and deletes what sends word of a task."""
    pushes, principal = agent_of(request).pushes, principal_of(request)
    if not pushes.supported:
        raise PushNotificationNotSupportedError(NOT_SUPPORTED)
    if asked.method == "CreateTaskPushNotificationConfig":
        return (await tasks.set_push(asked.read(PushConfig), principal)).as_json()
    wanted = asked.read(PushRequest)
    task = await tasks.get(wanted.task_id, principal)
    match asked.method:
        case "GetTaskPushNotificationConfig":
            return pushes.get(task, wanted.id).as_json()
        case "ListTaskPushNotificationConfigs":
            return {"configs": [config.as_json() for config in pushes.all(task)]}
        case "DeleteTaskPushNotificationConfig":
            await pushes.delete(task, wanted.id)
            return {}
    raise MethodNotFoundError(f"this agent has no method {asked.method[:100]}")


async def _sent(request: Request, tasks: Tasks, asked: Envelope) -> Response:
    wanted, sender = asked.read(SendRequest), caller(request)
    history = wanted.configuration.history_length
    task = await tasks.send(wanted, sender, streams=False)
    if wanted.configuration.return_immediately or not task.state.active:
        return reply(asked.success({"task": task.as_json(history)}))
    limit = agent_of(request).settings.follow_limit

    async def body() -> AsyncIterator[bytes]:
        try:
            async with asyncio.timeout(limit):
                ended = await tasks.finished(task, sender.principal)
            yield dumps(asked.success({"task": ended.as_json(history)}))
        except TimeoutError:
            # The task goes on, and its client can get it.
            yield dumps(asked.success({"task": task.as_json(history)}))
        except AgentError as error:
            yield dumps(asked.failure(_of_protocol(error, begun=True)))

    return FollowingResponse(body(), limit=limit, on_gone=None, headers={}, media_type="application/json")


def _streamed(request: Request, tasks: Tasks, task: Task, asked: Envelope) -> Response:
    agent = agent_of(request)
    limit, silent = agent.settings.follow_limit, silent_nodes(agent.config.spec)

    async def body() -> AsyncIterator[bytes]:
        try:
            async for told in with_pauses(responses(tasks, task, principal_of(request), silent), limit):
                yield b": still working\n\n" if told is None else _event(asked.success(told))
        except TimeoutError:
            yield b": no stream is kept open for longer than %g s; the task goes on: subscribe to it\n\n" % limit
        except AgentError as error:
            yield _event(asked.failure(_of_protocol(error, begun=True)))

    return FollowingResponse(body(), limit=limit, on_gone=None, headers=_STREAM, media_type="text/event-stream")


async def _listed(tasks: Tasks, wanted: ListRequest, principal: Principal) -> dict[str, Any]:
    page = await tasks.list(wanted, principal)
    found = [task.as_json(wanted.history_length, artifacts=wanted.include_artifacts) for task in page.tasks]
    return {"tasks": found, "nextPageToken": page.token, "pageSize": wanted.page_size, "totalSize": page.total}


def _event(value: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % dumps(value)


def _of_protocol(error: AgentError, *, begun: bool = False) -> A2AError:
    """The error as the protocol has it; of an answer that has `begun`, an internal one where it has no word for it.

    Raises:
        AgentError: The protocol has no word for it; it is answered by HTTP.
    """
    if isinstance(error, A2AError):
        return error
    if (kind := _ANSWERS.get(type(error), A2AError if begun else None)) is None:
        raise error
    return kind(str(error))


routes = [Route(CARD_PATH, agent_card), Route(PATH, a2a, methods=["POST"])]

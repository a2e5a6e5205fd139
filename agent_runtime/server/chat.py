"""OpenAI's chat completions, so that any chat client can talk to the agent.

https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

import orjson
from pydantic import Field, ValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Route

from agent_runtime.a2a.content import CONVERSATION, channels_of
from agent_runtime.errors import AgentError, ConflictError, InputError, NotFoundError, UnavailableError, UnreadableError
from agent_runtime.runs.encode import dumps
from agent_runtime.runs.request import CommandRequest, RunRequest
from agent_runtime.runs.spoken import MODES, Said, Spoken, answers, silent_nodes, text_of
from agent_runtime.server import problems
from agent_runtime.server.assistants import GRAPH_ID
from agent_runtime.server.follow import FollowingResponse, with_pauses
from agent_runtime.server.wire import Body, agent_of, caller, principal_of, read, reply
from agent_runtime.workflow.questions import question_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from agent_runtime.agent import Agent
    from agent_runtime.state.records import Run

THREAD_HEADER = "apm-thread"
_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_STREAM = {"cache-control": "no-store", "x-accel-buffering": "no"}
_KINDS = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}
_SERVER = 500
_TIMEOUT = 504
_RUN_FAILED: dict[str, str] = {"x-should-retry": "false"}
"""The official clients would else send the request again by themselves, and the agent would do it all anew."""


class ChatMessage(Body):
    """A turn; those of a client's own tools are passed over."""

    role: str
    content: str | list[dict[str, Any]] | None = None


class StreamOptions(Body):
    include_usage: bool = False


class ChatRequest(Body):
    """What is asked. Settings of the model, such as its temperature, are the agent's own."""

    model: str
    messages: tuple[ChatMessage, ...] = Field(min_length=1, max_length=10_000)
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: Literal[1] | None = None


def _as_openai(handle: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """Errors as problem documents that also have the member `error`, which OpenAI's clients show."""

    async def handled(request: Request) -> Response:
        try:
            return await handle(request)
        except AgentError as error:
            answer = await problems.on_agent_error(request, error)
        except ValidationError as error:
            answer = await problems.on_invalid(request, error)
        except HTTPException as error:
            answer = await problems.on_http_error(request, error)
        return _with_error(answer)

    handled.__name__ = handle.__name__
    return handled


async def chat_completions(request: Request) -> Response:
    agent, asked = agent_of(request), await read(request, ChatRequest)
    _check_model(agent, asked.model)
    if agent.draining and not agent.store.durable:
        raise UnavailableError("the pod is about to end: send the request to another one")
    run = await _submitted(request, asked)
    told = _Completion(f"chatcmpl-{run.run_id}", int(time.time()), agent.config.agent.name)
    temporary = THREAD_HEADER not in request.headers
    if asked.stream:
        usage = asked.stream_options is not None and asked.stream_options.include_usage
        return _streamed(agent, run, told, usage=usage, temporary=temporary)
    try:
        async with asyncio.timeout(agent.settings.follow_limit):
            values = await agent.runs.wait(run)
    except TimeoutError:
        agent.runs.abandon(run)
        values = {"__error__": {"error": "Timeout", "message": "the run takes longer than an answer is waited for"}}
    if temporary:
        await _forget(agent, run)
    if failure := values.get("__error__"):
        status = _TIMEOUT if failure["error"] == "Timeout" else _SERVER
        return _with_error(problems.problem(status, failure["message"], _RUN_FAILED))
    return reply(told.whole("\n\n".join(_contents(values, answers(values))), _usage(values)))


async def models(request: Request) -> Response:
    return reply({"object": "list", "data": [_model(agent_of(request))]})


async def model(request: Request) -> Response:
    agent = agent_of(request)
    _check_model(agent, request.path_params["model"])
    return reply(_model(agent))


class _Completion:
    """The shapes of an answer."""

    def __init__(self, identifier: str, created: int, name: str) -> None:
        self._about = {"id": identifier, "created": created, "model": name}

    def whole(self, content: str, usage: dict[str, int]) -> dict[str, Any]:
        message = {"role": "assistant", "content": content, "refusal": None}
        choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
        return {**self._about, "object": "chat.completion", "choices": [choice], "usage": usage}

    def chunk(self, delta: dict[str, str], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return _event({**self._about, "object": "chat.completion.chunk", "choices": [choice]})

    def usage(self, usage: dict[str, int]) -> bytes:
        return _event({**self._about, "object": "chat.completion.chunk", "choices": [], "usage": usage})


async def _submitted(request: Request, asked: ChatRequest) -> Run:
    """Accepts a run: of all messages in a thread of its own, or of the new ones in the thread that a header names."""
    agent, sender = agent_of(request), caller(request)
    if CONVERSATION not in await channels_of(agent):
        raise InputError("this agent holds no conversation: its state has no field `messages`")
    thread = request.headers.get(THREAD_HEADER)
    given = [one for message in asked.messages if (one := _turn(message)) is not None]
    if not given or given[-1]["role"] != "user":
        raise InputError("the last message must be of the role user")
    key = None if thread is None else principal_of(request).key(thread)
    body: dict[str, Any] = {"assistant_id": GRAPH_ID, "stream_mode": MODES if asked.stream else ["custom"]}
    if key is not None:
        said = [number for number, turn in enumerate(given) if turn["role"] == "assistant"]
        given = [turn for turn in given[said[-1] + 1 if said else 0 :] if turn["role"] == "user"]
        body["if_not_exists"] = "create"
        if resume := await _resumed(agent, key, given):
            request_body = RunRequest(**body, command=CommandRequest(resume=resume), multitask_strategy="reject")
            return await agent.runs.submit(key, request_body, sender)
    return await agent.runs.submit(key, RunRequest(**body, input={CONVERSATION: given}), sender)


async def _resumed(agent: Agent, thread: str, given: list[dict[str, Any]]) -> dict[str, str] | None:
    """The answer to what the thread asks, if it asks anything."""
    newest = await agent.runs.store.runs(thread, None, 1, 0)
    if not newest or newest[0].status != "interrupted":
        return None
    if newest[0].unreadable:
        raise UnreadableError(newest[0].unreadable)
    questions = (await agent.runs.following.result(newest[0])).get("__interrupt__") or []
    if len(questions) > 1:
        raise ConflictError(f"the agent asks {len(questions)} things at once: answer it by another API than this one")
    return {questions[0].id: "\n".join(text_of(turn["content"]) for turn in given)} if questions else None


def _streamed(agent: Agent, run: Run, told: _Completion, *, usage: bool, temporary: bool) -> Response:
    limit = agent.settings.follow_limit

    async def events() -> AsyncIterator[bytes]:
        yield told.chunk({"role": "assistant", "content": ""})
        spoken, last = Spoken(silent_nodes(agent.config.spec)), ""
        async for event in agent.runs.events(run):
            for piece in spoken.pieces(event.name, event.data):
                apart = "\n\n" if last and not piece.more else ""
                last = piece.identifier
                yield told.chunk({"content": f"{apart}{piece.text}"})
        values = await agent.runs.wait(run)
        if failure := values.get("__error__"):
            yield _event({"error": {"message": failure["message"], "type": "server_error", "code": failure["error"]}})
            return
        for text in _contents(values, spoken.left_out(values), begun=bool(last)):
            yield told.chunk({"content": f"\n\n{text}" if last else text})
            last = "told"
        yield told.chunk({}, "stop")
        if usage:
            yield told.usage(_usage(values))
        yield b"data: [DONE]\n\n"

    async def body() -> AsyncIterator[bytes]:
        with suppress(TimeoutError):
            async for event in with_pauses(events(), limit):
                yield b": still working\n\n" if event is None else event
        if temporary:
            await _forget(agent, run)

    on_gone = lambda: agent.runs.abandon(run)  # noqa: E731 - as `server.runs` has it
    return FollowingResponse(body(), limit=limit, on_gone=on_gone, headers=_STREAM, media_type="text/event-stream")


def _contents(values: Mapping[str, Any], said: list[Said], *, begun: bool = False) -> list[str]:
    """What the agent said and what it asks; its state, where it does neither."""
    told = [one.text for one in said if one.text]
    told += [text for one in values.get("__interrupt__") or () if (text := _asked(one.value))]
    return told or ([] if begun else [_text({name: value for name, value in values.items() if name != CONVERSATION})])


def _asked(value: Any) -> str:
    """What an interrupt asks; of an approval in words, since people read it."""
    if (question := question_of(value)) is None:
        return _text(value)
    asked = f"{question.ask} ({', '.join(question.choices)})"
    return f"{question.problem}\n\n{asked}" if question.problem else asked


def _text(value: Any) -> str:
    return value if isinstance(value, str) else dumps(value).decode()


def _turn(message: ChatMessage) -> dict[str, Any] | None:
    """A message as LangChain reads it; None for those of a client's own tools."""
    role = _ROLES.get(message.role)
    return None if role is None or not message.content else {"role": role, "content": message.content}


def _usage(values: Mapping[str, Any]) -> dict[str, int]:
    """The tokens of the models' messages since a person spoke last, as far as models told them."""
    told = {"input_tokens": 0, "output_tokens": 0}
    for message in reversed(values.get(CONVERSATION) or []):
        if getattr(message, "type", "") == "human":
            break
        used = getattr(message, "usage_metadata", None) or {}
        told = {name: count + used.get(name, 0) for name, count in told.items()}
    given, made = told.values()
    return {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made}


def _check_model(agent: Agent, name: str) -> None:
    if name not in {agent.config.agent.name, GRAPH_ID}:
        raise NotFoundError(f"there is no model {name[:100]}: this agent is {agent.config.agent.name}")


def _model(agent: Agent) -> dict[str, Any]:
    about = agent.config.agent
    created = int(agent.started_at.timestamp())
    return {"id": about.name, "object": "model", "created": created, "owned_by": about.namespace}


def _with_error(answer: Response) -> Response:
    problem = orjson.loads(answer.body)
    status = problem["status"]
    kind = _KINDS.get(status, "server_error" if status >= _SERVER else "invalid_request_error")
    error = {"message": problem["detail"], "type": kind, "param": None, "code": None}
    headers = {name: value for name, value in answer.headers.items() if name not in {"content-length", "content-type"}}
    members = {name: value for name, value in problem.items() if name not in {"type", "title", "status", "detail"}}
    return problems.problem(status, problem["detail"], headers, error=error, **members)


def _event(value: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % dumps(value)


async def _forget(agent: Agent, run: Run) -> None:
    with suppress(NotFoundError, ConflictError):
        await agent.runs.delete_thread(run.thread_id)


routes = [
    Route("/v1/chat/completions", _as_openai(chat_completions), methods=["POST"]),
    Route("/v1/models", models),
    Route("/v1/models/{model}", _as_openai(model)),
]

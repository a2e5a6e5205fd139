"""A scripted OpenAI-compatible server that can also fail in the ways real ones do.

In a test: `async with openai_server(Answer("hi"), Fault.busy(1)) as fake`. In a pod: `python -m fakes.openai_server`,
which answers every request with what it was asked.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from fakes.serving import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request


@dataclass(frozen=True)
class Answer:
    """What one request is answered with. Tool calls are (name, arguments as JSON text)."""

    text: str = ""
    calls: tuple[tuple[str, str], ...] = ()
    delay: float = 0.0
    pause: float = 0.0
    """Seconds between the parts of a stream."""
    cut: bool = False
    """Whether the connection breaks in the middle of a stream."""


@dataclass(frozen=True)
class Fault:
    """An answer that is none."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: str = '{"error": {"message": "sk-secret must not be quoted"}}'

    @classmethod
    def busy(cls, retry_after: str) -> Fault:
        """429 with Retry-After."""
        return cls(429, {"retry-after": retry_after})


@dataclass
class OpenAIServer:
    """The requests that came, and the answers left; the last answer is given for ever."""

    answers: list[Answer | Fault]
    url: str = ""
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def app(self) -> Starlette:
        """The application."""
        return Starlette(routes=[Route("/v1/chat/completions", self._complete, methods=["POST"])])

    async def _complete(self, request: Request) -> Response:
        body = await request.json()
        self.requests.append(body)
        self.headers.append(dict(request.headers))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Fault):
            return Response(answer.body, answer.status, answer.headers, media_type="application/json")
        await asyncio.sleep(answer.delay)
        text = answer.text or ("" if answer.calls else str(body["messages"][-1]["content"]))
        if body.get("stream"):
            return StreamingResponse(_stream(answer, text), media_type="text/event-stream")
        message = {"role": "assistant", "content": text, "tool_calls": _calls(answer)}
        return JSONResponse(
            {
                "id": "chatcmpl-1",
                "object": "chat.completion",
                "model": body["model"],
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": _usage(text),
            }
        )


@asynccontextmanager
async def openai_server(*answers: Answer | Fault) -> AsyncIterator[OpenAIServer]:
    """A server on a free loopback port that gives the answers in turn."""
    fake = OpenAIServer(list(answers) or [Answer()])
    async with serving(fake.app()) as url:
        fake.url = f"{url}/v1"
        yield fake


async def _stream(answer: Answer, text: str) -> AsyncIterator[str]:
    words = text.split(" ")
    deltas: list[dict[str, Any]] = [
        {"content": word if number == len(words) - 1 else f"{word} "} for number, word in enumerate(words)
    ]
    for call in _calls(answer):
        # Arguments come in pieces, as from a real endpoint.
        arguments = call["function"]["arguments"]
        head, tail = arguments[: len(arguments) // 2], arguments[len(arguments) // 2 :]
        deltas.append({"tool_calls": [{**call, "function": {**call["function"], "arguments": head}}]})
        deltas.append({"tool_calls": [{"index": call["index"], "function": {"arguments": tail}}]})
    for number, delta in enumerate(deltas):
        if answer.cut and number == len(deltas) // 2:
            return
        await asyncio.sleep(answer.pause)
        yield _event({"id": "chatcmpl-1", "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    yield _event({"id": "chatcmpl-1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    yield _event({"id": "chatcmpl-1", "choices": [], "usage": _usage(text)})
    yield "data: [DONE]\n\n"


def _calls(answer: Answer) -> list[dict[str, Any]]:
    return [
        {"index": number, "id": f"call_{number}", "type": "function", "function": {"name": name, "arguments": text}}
        for number, (name, text) in enumerate(answer.calls)
    ]


def _usage(text: str) -> dict[str, int]:
    return {"prompt_tokens": 3, "completion_tokens": len(text.split()), "total_tokens": 3 + len(text.split())}


def _event(value: dict[str, Any]) -> str:
    return f"data: {json.dumps(value)}\n\n"


if __name__ == "__main__":
    uvicorn.run(OpenAIServer([Answer()]).app(), host="0.0.0.0", port=8000)  # noqa: S104 - runs in a pod

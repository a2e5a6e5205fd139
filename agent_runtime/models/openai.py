"""A chat model at any OpenAI-compatible endpoint.

Lean on purpose: `langchain-openai` doubles the pod's start time and adds 22 MiB.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import ConfigDict

from agent_runtime import outbound, plain
from agent_runtime.errors import CallError, CallErrorKind
from agent_runtime.models import wire
from agent_runtime.models.chat import AsyncChatModel
from agent_runtime.outbound import Secrets
from agent_runtime.resilience.breakers import no_guard
from agent_runtime.spec.model import ModelSpec
from agent_runtime.spec.scalars import seconds
from agent_runtime.tracing import spans

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from langchain_core.callbacks import AsyncCallbackManagerForLLMRun

_DONE = "[DONE]"


class OpenAIChatModel(AsyncChatModel):
    """Asks `POST {baseURL}/chat/completions`, whole or streamed."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    spec: ModelSpec
    http: httpx.AsyncClient
    secrets: Secrets
    guard: Any = no_guard
    """What each request goes through, see resilience/breakers.py."""

    @property
    def _llm_type(self) -> str:
        return "openai-compatible"

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,  # noqa: ARG002 - the base class passes it
        **kwargs: Any,
    ) -> ChatResult:
        body = self._body(messages, stop, kwargs)
        answer = await outbound.retried(
            lambda: outbound.request(
                self.http,
                "POST",
                self._url,
                what=self._what,
                timeout=self._timeout,
                headers=self._headers(),
                body=body,
            ),
            attempts=self.spec.max_attempts,
            longest_pause=self._timeout,
            guard=self.guard,
            backoff=self.spec.backoff,
        )
        message = wire.from_wire(_parse(answer, self._what), self._what)
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        body = {
            **self._body(messages, stop, kwargs),
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        # Round all of it, since an endpoint may well begin an answer and then fail.
        async with self.guard():
            async for chunk in self._chunks(body):
                if run_manager:
                    await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk

    async def _chunks(self, body: dict[str, Any]) -> AsyncIterator[ChatGenerationChunk]:
        answer = await outbound.retried(
            lambda: self._open(body),
            attempts=self.spec.max_attempts,
            longest_pause=self._timeout,
            backoff=self.spec.backoff,
        )
        try:
            async for event in _events(answer, self._what, seconds(self.spec.stream_timeout)):
                yield ChatGenerationChunk(message=_chunk(event, self._what))
        except httpx.HTTPError as error:
            raise outbound.transport_error(error, self._what, self._timeout) from error
        finally:
            await answer.aclose()

    @property
    def _url(self) -> str:
        return f"{(self.spec.base_url or '').rstrip('/')}/chat/completions"

    @property
    def _what(self) -> str:
        return f"model {self.spec.name}"

    @property
    def _timeout(self) -> float:
        return seconds(self.spec.timeout)

    def _headers(self) -> dict[str, str]:
        ref = self.spec.api_key_secret_ref
        return {**spans.model_headers(), **(self.secrets.bearer(ref) if ref else {})}

    def _body(self, messages: Sequence[BaseMessage], stop: list[str] | None, extra: dict[str, Any]) -> dict[str, Any]:
        settings = {
            "temperature": self.spec.temperature,
            "max_tokens": self.spec.max_tokens,
            "stop": stop,
            "tools": extra.get("tools") or None,
            "response_format": extra.get("response_format"),
        }
        return {
            "model": self.spec.model,
            "messages": wire.to_wire(messages),
            **{name: value for name, value in settings.items() if value is not None},
        }

    async def _open(self, body: dict[str, Any]) -> httpx.Response:
        headers = {**self._headers(), "accept": "text/event-stream"}
        try:
            request = self.http.build_request("POST", self._url, json=body, headers=headers, timeout=self._timeout)
            # httpx's own limit is for each read, also of a head that trickles in.
            async with asyncio.timeout(self._timeout):
                answer = await self.http.send(request, stream=True)
        except TimeoutError:
            raise CallError(CallErrorKind.TIMEOUT, f"{self._what} gave no answer within {self._timeout:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise outbound.transport_error(error, self._what, self._timeout) from error
        try:
            outbound.check(answer, self._what)
        except CallError:
            await answer.aclose()
            raise
        return answer


async def _events(answer: httpx.Response, what: str, limit: float) -> AsyncIterator[dict[str, Any]]:
    """The parsed `data:` lines up to `[DONE]`; a stream that ends without it was cut."""
    finished = False
    async for line in outbound.lines(answer, what, limit):
        if not line.startswith("data:"):
            continue
        data = line.removeprefix("data:").strip()
        if data == _DONE:
            return
        event = _parse(data, what)
        finished = finished or any(choice.get("finish_reason") for choice in event.get("choices") or ())
        yield event
    if not finished:
        raise CallError(CallErrorKind.CONNECTION, f"{what} cut its answer short")


def _chunk(event: dict[str, Any], what: str) -> AIMessageChunk:
    try:
        choices = event.get("choices") or ()
        delta = choices[0].get("delta") or {} if choices else {}
        return AIMessageChunk(
            content=delta.get("content") or "",
            usage_metadata=wire.usage(event.get("usage")),
            tool_call_chunks=[
                tool_call_chunk(
                    name=call.get("function", {}).get("name"),
                    args=call.get("function", {}).get("arguments"),
                    id=call.get("id"),
                    index=call.get("index"),
                )
                for call in delta.get("tool_calls") or ()
            ],
        )
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise CallError(CallErrorKind.BAD_ANSWER, f"{what} streamed something that is no chat completion") from error


def _parse(text: str | bytes, what: str) -> dict[str, Any]:
    try:
        value = plain.parse(text)
    except ValueError:
        raise CallError(CallErrorKind.BAD_ANSWER, f"{what} gave an answer that is no JSON") from None
    if not isinstance(value, dict):
        raise CallError(CallErrorKind.BAD_ANSWER, f"{what} gave an answer that is no chat completion")
    return value

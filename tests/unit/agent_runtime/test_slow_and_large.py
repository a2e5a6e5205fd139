"""Answers that never end, whole or streamed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Route

from agent_runtime import outbound
from agent_runtime.errors import CallError, CallErrorKind
from fakes.serving import serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.responses import Response


async def _trickle(_: Request) -> Response:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"."
            await asyncio.sleep(0.1)

    return StreamingResponse(body())


async def _line(_: Request) -> Response:
    async def body() -> AsyncIterator[bytes]:
        yield b"one\r\ntwo\n"
        for _ in range(8):
            yield b"x" * (1 << 20)

    return StreamingResponse(body())


APP = Starlette(routes=[Route("/trickle", _trickle), Route("/line", _line)])


async def test_an_answer_that_trickles_in_meets_the_limit_of_the_whole_call():
    async with serving(APP) as url, outbound.client() as http:
        with pytest.raises(CallError, match=r"it gave no answer within 0\.5 s") as caught:
            await outbound.request(http, "GET", f"{url}/trickle", what="it", timeout=0.5, headers={})
    assert caught.value.kind == CallErrorKind.TIMEOUT


async def test_a_line_without_an_end_is_not_read_for_ever():
    read: list[str] = []

    async def collect(url: str) -> None:
        async with outbound.client() as http, http.stream("GET", f"{url}/line") as answer:
            async for line in outbound.lines(answer, "it", 60):
                read.append(line)  # noqa: PERF401 - what was read before the error counts

    async with serving(APP) as url:
        with pytest.raises(CallError, match="streams more than is read") as caught:
            await collect(url)
    assert caught.value.kind == CallErrorKind.BAD_ANSWER
    assert read == ["one", "two"]

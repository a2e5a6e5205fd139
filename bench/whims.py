"""A model server whose answers take now longer, now shorter, and now and then are a fault."""

from __future__ import annotations

import asyncio
import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request

_SCATTER = 0.4
_BUSY = 0.003
"""Share of calls that are answered with 503, after which the caller tries again."""


@dataclass
class Whim:
    """How a model answers now.

    Attributes:
        failing: share of calls that it refuses.
        seconds: that it takes, in the middle.
        words: that it answers with, in the middle.
    """

    failing: float
    seconds: float
    words: float


class Models:
    """Models by their names."""

    def __init__(self) -> None:
        self.whims: dict[str, Whim] = {}
        self._random = random.Random(8)  # noqa: S311

    def app(self) -> Starlette:
        """The application."""
        return Starlette(routes=[Route("/v1/chat/completions", self._complete, methods=["POST"])])

    async def _complete(self, request: Request) -> Response:
        body = await request.json()
        whim, draw = self.whims[body["model"]], self._random
        chance = draw.random()
        if chance < whim.failing:
            return JSONResponse({"error": {"message": "refused"}}, 400)
        if chance > 1 - _BUSY:
            return JSONResponse({"error": {"message": "busy"}}, 503)
        await asyncio.sleep(whim.seconds * math.exp(draw.gauss(0, _SCATTER)))
        words = max(round(whim.words * math.exp(draw.gauss(0, _SCATTER))), 1)
        asked = sum(len(str(message["content"]).split()) for message in body["messages"])
        return JSONResponse(
            {
                "id": "chatcmpl-1",
                "object": "chat.completion",
                "model": body["model"],
                "choices": [
                    {
                        "index": 0,
                        "message": {"role": "assistant", "content": "word " * words},
                        "finish_reason": "stop",
                    }
                ],
                "usage": {"prompt_tokens": asked, "completion_tokens": words, "total_tokens": asked + words},
            }
        )

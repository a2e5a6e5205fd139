"""What an agent without events answers to who sends some."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from starlette.routing import Route

from agent_runtime.errors import NotFoundError

if TYPE_CHECKING:
    from starlette.requests import Request


async def refuse_events(_: Request) -> NoReturn:
    raise NotFoundError("this agent takes no events: its spec has no `events`")


_METHODS = ["GET", "POST", "DELETE", "OPTIONS"]
routes = [
    Route("/events", refuse_events, methods=_METHODS),
    Route("/events/dead-letters", refuse_events, methods=_METHODS),
    Route("/events/dead-letters/{rest:path}", refuse_events, methods=_METHODS),
]

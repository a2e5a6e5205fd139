"""ASGI applications on a free loopback port, for the length of a test."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import uvicorn

from agent_runtime.server.listener import listen_with_tls

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import ASGIApp

_DEADLINE = 20.0


def free_port(port: int = 0) -> tuple[socket.socket, int]:
    """A listening loopback socket and its port; another one where the given one is 0."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    return listener, listener.getsockname()[1]


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[str]:
    """Serves the application; gives its base URL."""
    async with serving_as(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=5)) as url:
        yield url


@asynccontextmanager
async def serving_as(config: uvicorn.Config, port: int = 0) -> AsyncIterator[str]:
    """Serves as `config` says, but on a free port, or the given one; gives the base URL."""
    listener, port = free_port(port)
    if config.is_ssl:
        listen_with_tls(asyncio.get_running_loop())
    server = uvicorn.Server(config)
    server.capture_signals = _no_signals  # type: ignore[method-assign, assignment] # pytest has its own handlers
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        async with asyncio.timeout(_DEADLINE):
            while not server.started and not task.done():  # noqa: ASYNC110 - polled with a deadline
                await asyncio.sleep(0.01)
        if task.done():
            task.result()
        yield f"{'https' if config.is_ssl else 'http'}://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task
        listener.close()


class _no_signals:  # noqa: N801 - takes the place of a method
    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...

"""The server process, from start to drained end."""

from __future__ import annotations

import asyncio
import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog
import uvicorn

from agent_runtime import garbage
from agent_runtime.logs import on_loop_error
from agent_runtime.server.lag import LagMeter
from agent_runtime.server.listener import listen_with_tls
from agent_runtime.server.port import port_config

if TYPE_CHECKING:
    from types import FrameType

    from agent_runtime.agent import Agent

log = structlog.get_logger()

_TICK = 1.0
"""Seconds between two values of the header `Date`, which has seconds."""


class DrainingServer(uvicorn.Server):
    """Ends in two steps: at SIGTERM it says that it is not ready, and some seconds later it closes the port.

    Between the two the pod leaves the Service's endpoints, so that no request meets a closed port.
    """

    def __init__(self, config: uvicorn.Config, agent: Agent) -> None:
        super().__init__(config)
        self._agent = agent
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ending = asyncio.Event()

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        """Starts to listen."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets=sockets)  # type: ignore[arg-type]

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begins to drain; a second signal, or one before the start, ends at once."""
        if sig == signal.SIGTERM and not self._agent.draining and self._loop is not None:
            self._loop.call_soon_threadsafe(self._drain)
            return
        super().handle_exit(sig, frame)
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._ending.set)

    async def main_loop(self) -> None:
        """Serves until it is to end; uvicorn's own would wake ten times a second to see whether it is."""
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                async with asyncio.timeout(_TICK):
                    await self._ending.wait()

    def _drain(self) -> None:
        log.info("draining", seconds=self._agent.settings.drain_delay)
        self._agent.drain()
        if self._loop is not None:
            self._loop.call_later(self._agent.settings.drain_delay, self._close)

    def _close(self) -> None:
        self.should_exit = True
        self._ending.set()


def serve(agent: Agent) -> None:
    """Serves until a signal ends it. Raises ConfigError if the mounted certificates can't be used."""
    settings = agent.settings
    config = port_config(agent)
    server = DrainingServer(config, agent)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(on_loop_error)
        if config.is_ssl:
            listen_with_tls(loop)
        listener = config.bind_socket()
        loop.set_default_executor(ThreadPoolExecutor(settings.threads, thread_name_prefix="blocking"))
        meter = LagMeter(loop, agent.metrics.loop_lag)
        meter.start()
        try:
            await server.serve(sockets=[listener])
        finally:
            meter.stop()

    garbage.settle()
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(main())

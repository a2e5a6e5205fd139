"""The server process, from start to drained end."""

from __future__ import annotations

import asyncio
import signal
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import structlog
import uvicorn

from agent_runtime.logs import on_loop_error
from agent_runtime.server.lag import LagMeter
from agent_runtime.server.port import port_config
from agent_runtime.tls.contexts import HANDSHAKE_SECONDS, await_hello

if TYPE_CHECKING:
    from types import FrameType

    from agent_runtime.agent import Agent

log = structlog.get_logger()


class DrainingServer(uvicorn.Server):
    """Ends in two steps: at SIGTERM it says that it is not ready, and some seconds later it closes the port.

    Between the two the pod leaves the Service's endpoints, so that no request meets a closed port.
    """

    def __init__(self, config: uvicorn.Config, agent: Agent) -> None:
        super().__init__(config)
        self._agent = agent
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        """Starts to listen."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets=sockets)  # type: ignore[arg-type]

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begins to drain; a second signal, or one before the start, ends at once."""
        if sig != signal.SIGTERM or self._agent.draining or self._loop is None:
            super().handle_exit(sig, frame)
            return
        self._loop.call_soon_threadsafe(self._drain)

    def _drain(self) -> None:
        log.info("draining", seconds=self._agent.settings.drain_delay)
        self._agent.drain()
        if self._loop is not None:
            self._loop.call_later(self._agent.settings.drain_delay, self._close)

    def _close(self) -> None:
        self.should_exit = True


def serve(agent: Agent) -> None:
    """Serves until a signal ends it. Raises ConfigError if the mounted certificates can't be used."""
    settings = agent.settings
    config = port_config(agent)
    server = DrainingServer(config, agent)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(on_loop_error)
        if config.is_ssl:
            # uvicorn has no setting for it, and the default of 60 s lets clients hold connections that do nothing.
            serving = partial(loop.create_server, ssl_handshake_timeout=HANDSHAKE_SECONDS)
            loop.create_server = serving  # type: ignore[method-assign]
        listener = config.bind_socket()
        if config.is_ssl:
            await_hello(listener)
        loop.set_default_executor(ThreadPoolExecutor(settings.threads, thread_name_prefix="blocking"))
        meter = LagMeter(loop, agent.metrics.loop_lag)
        meter.start()
        try:
            await server.serve(sockets=[listener])
        finally:
            meter.stop()

    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(main())

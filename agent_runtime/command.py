"""How a command for an agent's data runs: with the agent of the config file, and one line where it fails."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from agent_runtime import config, logs
from agent_runtime.agent import Agent
from agent_runtime.errors import AgentError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from agent_runtime.settings import Settings

_PATIENCE = 20.0
"""Seconds in which MongoDB has to be found. Who serves requests gives up sooner; a command has nobody else to go to."""


def run(work: Callable[[Agent], Awaitable[int]], settings: Settings) -> int:
    """The exit code that the work gives; 1 if it fails."""
    logs.configure("error", settings.log_format)
    try:
        return asyncio.run(_run(work, settings))
    except (AgentError, OSError) as error:
        sys.stderr.write(f"agent_runtime: {settings.redaction(' '.join(str(error).split()))}\n")
        return 1


async def _run(work: Callable[[Agent], Awaitable[int]], settings: Settings) -> int:
    agent = Agent(config.load(settings.config_file), settings)
    if agent.connection is not None:
        agent.connection.patience = _PATIENCE
    try:
        return await work(agent)
    finally:
        await agent.close()

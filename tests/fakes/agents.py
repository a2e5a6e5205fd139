"""Agents in the test's own process."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langgraph_sdk import get_client

from agent_runtime.agent import Agent
from agent_runtime.server.port import port_config
from agent_runtime.settings import Settings
from agent_runtime.spec.agent import RuntimeConfig
from fakes.serving import serving_as

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from langgraph_sdk.client import LangGraphClient

    from fakes.authority import Mounts

ECHO = {"name": "default", "provider": "scripted", "script": [{"reply": "You said: {{ last }}"}]}
CHAT = {"start": "answer", "nodes": [{"name": "answer", "uses": "model", "next": "end"}]}
_DEADLINE = 20.0


@dataclass(frozen=True)
class RunningAgent:
    """An agent that serves."""

    agent: Agent
    url: str
    client: LangGraphClient


def config(
    spec: dict[str, Any], *, name: str = "tested", peers: dict[str, str] | None = None, **more: Any
) -> RuntimeConfig:
    """A config as the operator would write it; without TLS it lets everybody in unless the spec says otherwise."""
    if not more.get("tls"):
        spec = {"auth": {"anonymous": True}, **spec}
    return RuntimeConfig.model_validate(
        {"agent": {"name": name, "namespace": "tests"}, "spec": spec, "peers": peers or {}, **more}
    )


@asynccontextmanager
async def running(
    spec: dict[str, Any],
    *,
    name: str = "tested",
    peers: dict[str, str] | None = None,
    secrets: Path = Path("/nonexistent"),
    ready: bool = True,
    mounts: Mounts | None = None,
    more: dict[str, Any] | None = None,
    at: int = 0,
    **settings: Any,
) -> AsyncIterator[RunningAgent]:
    """An agent of the given spec, with TLS if it has `mounts`; waits until it is ready unless told not to.

    `at` is its port; 0 takes a free one.
    """
    if mounts is not None:
        settings |= {"tls_dir": mounts.tls, "trust_dir": mounts.trust}
    given = config(spec, name=name, peers=peers, tls=mounts is not None, **(more or {}))
    agent = Agent(given, replace(Settings(secrets_dir=secrets, drain_timeout=5), **settings))
    async with serving_as(port_config(agent), at) as url:
        client = get_client(url=url)
        try:
            async with asyncio.timeout(_DEADLINE):
                while ready and agent.link.problem is not None:  # noqa: ASYNC110 - polled with a deadline
                    await asyncio.sleep(0.01)
            yield RunningAgent(agent, url, client)
        finally:
            await client.aclose()


def person(text: str) -> dict[str, Any]:
    """The input of a run with one message of a person."""
    return {"messages": [{"role": "user", "content": text}]}


def last_text(values: Any) -> str:
    """The text of the newest message."""
    return str(values["messages"][-1]["content"])

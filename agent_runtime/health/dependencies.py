"""What an agent depends on, and a cheap question to each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent_runtime import outbound
from agent_runtime.errors import CallError, CallErrorKind, UnavailableError
from agent_runtime.spec.identity import agent_uri
from agent_runtime.spec.node import AgentNode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    import httpx

    from agent_runtime.agent import Agent

STATE = "state"
"""The kind of dependency without which an agent does nothing."""
PEER = "agent"
TIME_LIMIT = 2.0
"""Seconds that a question may take."""
_ANSWERED = {CallErrorKind.REFUSED, CallErrorKind.AUTHENTICATION, CallErrorKind.RATE_LIMIT, CallErrorKind.BAD_ANSWER}
"""What a service that works may say to a question without key and content."""


@dataclass(frozen=True)
class Dependency:
    """Something that the agent asks. `ask` raises an AgentError, or takes too long, where it is not well."""

    kind: str
    name: str
    ask: Callable[[], Awaitable[Any]] | None = None
    """None where there is nothing that could be away."""
    shares: str = ""
    """The name of its breaker, where that is not its own."""

    @property
    def breaker(self) -> str:
        """The name of its breaker."""
        return self.shares or f"{self.kind} {self.name}"


def dependencies_of(agent: Agent) -> Iterator[Dependency]:
    """Those that the spec and the environment name, each once."""
    yield Dependency(STATE, "memory" if agent.connection is None else "mongodb", lambda: _state(agent))
    if agent.resilience.redis is not None:
        yield Dependency("redis", "redis", lambda: _redis(agent))
    for model in agent.config.spec.models:
        yield Dependency("model", model.name, _touch(agent.clients.http, model.base_url, f"model {model.name}"))
    for name, url in _integrations(agent):
        yield Dependency("integration", name, _touch(agent.clients.http, url, f"integration {name}"))
    for server in agent.mcp_servers.all if agent.mcp_servers else ():
        yield Dependency("mcp", server.spec.name, _touch(server.http, server.spec.url, server.what))
    yield from _sinks(agent)
    yield from _peers(agent)


def _sinks(agent: Agent) -> Iterator[Dependency]:
    for sink in agent.config.spec.events.sinks if agent.config.spec.events else ():
        if sink.url is not None:
            ask = _touch(agent.clients.http, sink.url, f"sink {sink.name}")
            yield Dependency("sink", sink.name, ask, sink.dependency)


def _peers(agent: Agent) -> Iterator[Dependency]:
    namespace, names = agent.config.agent.namespace, set()
    for name, url in agent.config.peers.items():
        names.add(name)
        http = agent.clients.to(url, agent_uri(namespace, name))
        yield Dependency(PEER, name, _touch(http, f"{url.rstrip('/')}/readyz", f"agent {name}", strict=True))
    flows = [flow for flow in (agent.config.spec.workflow, *agent.config.spec.workflows) if flow is not None]
    for node in (node for flow in flows for node in flow.nodes if isinstance(node, AgentNode)):
        if node.with_.url is not None and node.name not in names:
            names.add(node.name)
            yield Dependency(PEER, node.name, _touch(agent.clients.http, node.with_.url, f"agent {node.name}"))


def _integrations(agent: Agent) -> Iterator[tuple[str, str | None]]:
    """Names and addresses; without one it is the agent's own, in its MongoDB."""
    from agent_runtime.integrations.settings import places  # noqa: PLC0415 - only what is used is loaded

    spec, named = agent.config.spec.integrations, places()
    written = dict(spec.items()) if spec is not None else {}
    for name in {**written, **named}:
        own = written.get(name)
        yield name, (own.base_url if own else None) or (named[name].url if name in named else None)


async def _state(agent: Agent) -> None:
    if agent.link.problem is not None:
        raise UnavailableError(agent.link.problem)
    await agent.store.ping()


async def _redis(agent: Agent) -> None:
    if agent.resilience.redis is not None:
        async with agent.resilience.redis.client() as client:
            await client.ping()


def _touch(
    http: httpx.AsyncClient | None, url: str | None, what: str, *, strict: bool = False
) -> Callable[[], Awaitable[None]] | None:
    """Asks an address without key and content; unless `strict`, any answer but a failure of the server is one."""
    if url is None:
        return None

    async def ask() -> None:
        if http is None:
            raise UnavailableError(f"{what} wants a certificate, and this agent has none")
        try:
            await outbound.request(http, "GET" if strict else "HEAD", url, what=what, timeout=TIME_LIMIT, headers={})
        except CallError as error:
            if strict or error.kind not in _ANSWERED:
                raise

    return ask

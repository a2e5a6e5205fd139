"""Pushing events to other agents, and to addresses outside."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from agent_runtime import outbound
from agent_runtime.errors import CallError, CallErrorKind, TooManyRequestsError, UnavailableError
from agent_runtime.events import binding
from agent_runtime.events.errors import RefusedError
from agent_runtime.events.event import HOPS
from agent_runtime.events.match import Match
from agent_runtime.resilience.breakers import no_guard
from agent_runtime.runs.webhooks import signature
from agent_runtime.spec.identity import agent_uri
from agent_runtime.spec.scalars import seconds
from agent_runtime.state.records import now
from agent_runtime.workflow.peer import MAX_HOPS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import httpx

    from agent_runtime.clients import Clients
    from agent_runtime.events.event import Event
    from agent_runtime.events.records import Entry
    from agent_runtime.outbound import Secrets
    from agent_runtime.resilience.assembly import Resilience
    from agent_runtime.resilience.breakers import Guard
    from agent_runtime.spec.agent import RuntimeConfig
    from agent_runtime.spec.sinks import SinkSpec

_PATH = "/events"
"""Where agents take events."""
_WHILE_OPEN = 5
"""Seconds after which a sink whose breaker is open is tried again."""


@dataclass(frozen=True)
class Outgoing:
    """What an agent's sinks push with."""

    config: RuntimeConfig
    clients: Clients
    secrets: Secrets
    resilience: Resilience

    @property
    def source(self) -> str:
        """Of the events that the agent emits."""
        spec = self.config.spec.events
        return (spec and spec.source) or f"/agents/{self.config.agent.key}"

    def sink(self, spec: SinkSpec, on_error: Callable[[], None]) -> Sink:
        """A sink of the spec; `on_error` is called where its filter can't be evaluated. Raises ExpressionError."""
        match = Match.of(spec.type, None, spec.filter, on_error)
        guard = self.resilience.breakers.guard(spec.dependency, spec.breaker)
        if spec.agent is None:
            return Sink(spec, match, spec.url or "", self.clients.http, self.secrets, guard, self.source)
        url = f"{self.config.peers.get(spec.agent, '').rstrip('/')}{_PATH}"
        http = self.clients.to(url, agent_uri(self.config.agent.namespace, spec.agent))
        return Sink(spec, match, url, http, self.secrets, guard, self.source)


@dataclass(frozen=True)
class Sink:
    """A consumer that posts events.

    Attributes:
        url: where to.
        http: None if it takes a certificate to call the other agent, which this one lacks.
        source: of the events that the agent itself emits.
    """

    spec: SinkSpec
    match: Match
    url: str
    http: httpx.AsyncClient | None
    secrets: Secrets
    guard: Guard = no_guard
    source: str = ""

    @property
    def name(self) -> str:
        """Under which its deliveries and dead letters are kept."""
        return f"sink/{self.spec.name}"

    async def wants(self, event: Event) -> bool:
        """Whether the event is pushed."""
        return await self.match.fits(event)

    async def deliver(self, entry: Entry) -> None:
        """Pushes an event, with the id that it has, so that the other side can tell one that comes twice.

        Raises:
            RefusedError: The other side won't ever take it, or it went round in a loop.
            TooManyRequestsError: The other side asks for a pause.
            UnavailableError: The other side is left alone for now.
            CallError: It failed in another way.
        """
        http, event = self._reachable(), self._next_hop(entry.event)
        written = binding.binary(event) if self.spec.mode == "binary" else binding.structured(event)
        trace = {"traceparent": entry.event.traceparent} if entry.event.traceparent else {}
        own = {name.lower(): value for name, value in self.spec.headers.items()}
        headers = {**own, **trace, **written.headers, **self._proof(entry, written.content)}
        timeout = seconds(self.spec.timeout)

        async def post() -> None:
            await outbound.request(
                http,
                "POST",
                self.url,
                what=self._what,
                timeout=timeout,
                headers=headers,
                content=written.content or None,
                secret_header=self.spec.api_key_header.lower() if self.spec.api_key_secret_ref else "",
            )

        try:
            await outbound.retried(
                post,
                attempts=self.spec.max_attempts,
                longest_pause=timeout,
                guard=self.guard,
                backoff=self.spec.backoff,
            )
        except CallError as error:
            self._judge(error)

    def _judge(self, error: CallError) -> None:
        """Says it in the words of deliveries. The answer itself is of no interest, so it may be unreadable."""
        match error.kind:
            case CallErrorKind.BAD_ANSWER:
                return
            case CallErrorKind.CIRCUIT_OPEN:
                raise UnavailableError(str(error), retry_after=_WHILE_OPEN) from error
            case CallErrorKind.RATE_LIMIT if error.retry_after is not None:
                raise TooManyRequestsError(str(error), retry_after=error.retry_after) from error
            case CallErrorKind.AUTHENTICATION if self.spec.agent is not None:
                # A new sink is known to the other agent's pods only after a moment, so this may pass.
                raise CallError(error.kind, f"{error}: {self._hint}") from error
            case CallErrorKind.AUTHENTICATION:
                raise RefusedError(str(error)) from error
            case CallErrorKind.REFUSED if self.spec.agent is not None and error.status == HTTPStatus.NOT_FOUND:
                # Likewise where both specs are new: its pods may be those of the old one, which took no events.
                raise CallError(error.kind, f"{error}: its spec has to have `events`") from error
            case CallErrorKind.REFUSED:
                raise RefusedError(str(error)) from error
        raise error

    def _reachable(self) -> httpx.AsyncClient:
        if self.http is None:
            raise RefusedError(
                f"{self._what} takes calls by TLS, and this agent has no certificate; set the same `tls.mode` for both"
            )
        return self.http

    def _next_hop(self, event: Event) -> dict[str, object]:
        # To be emitted was a hop already.
        hops = event.hops + (event.source != self.source)
        if hops > MAX_HOPS:
            raise RefusedError(f"{MAX_HOPS} agents have passed the event on in turn already: look for a loop of sinks")
        return {**event.as_json, HOPS: hops}

    def _proof(self, entry: Entry, content: bytes) -> Mapping[str, str]:
        spec = self.spec
        proof: dict[str, str] = {}
        if spec.bearer_token_secret_ref:
            proof |= self.secrets.bearer(spec.bearer_token_secret_ref)
        if spec.api_key_secret_ref:
            proof[spec.api_key_header.lower()] = self.secrets.token(spec.api_key_secret_ref)
        if spec.signing_key_secret_ref:
            key = self.secrets.read(spec.signing_key_secret_ref).encode()
            proof["webhook-id"] = entry.key
            proof |= signature(key, entry.key, int(now().timestamp()), content)
        return proof

    @property
    def _what(self) -> str:
        return f"agent {self.spec.agent}" if self.spec.agent else f"sink {self.spec.name}"

    @property
    def _hint(self) -> str:
        if self.url.startswith("https:"):
            return "it lets in agents that have it as a sink; its pods know of a new one within about a minute"
        return (
            f"agents prove who they are by TLS, and {self.spec.agent} has `tls.mode: Disabled`: set `tls.mode: "
            "Enabled` for both, or let everybody in by its `auth.anonymous: true`"
        )

"""Calls to other agents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agent_runtime import outbound, plain
from agent_runtime.errors import CallError, CallErrorKind, WorkflowError

if TYPE_CHECKING:
    import httpx

HOPS_HEADER = "apm-hops"
MAX_HOPS = 8
"""Longest chain of agents that ask each other; ends cycles between agents."""

_ATTEMPTS = 4
_LONGEST_PAUSE = 10.0


@dataclass(frozen=True)
class PeerAnswer:
    """What another agent's run ended with; `text` is its last message, if it has messages."""

    text: str | None
    values: dict[str, Any]


@dataclass(frozen=True)
class Peer:
    """Another agent, reached at its Service; `http` is None if that takes a certificate which this agent lacks."""

    name: str
    url: str
    http: httpx.AsyncClient | None

    async def ask(self, thread: str, text: str, key: str, limit: float) -> PeerAnswer:
        """Runs the other agent on `text` and waits for its answer, at most `limit` seconds for each try.

        A repeated call with the same `key` joins the first one's run, so it is safe to try again.

        Raises:
            CallError: The agent could not be reached, or its run failed.
            WorkflowError: The chain of agents is too long, or this agent has no certificate to show.
        """
        http = self.http
        if http is None:
            raise WorkflowError(
                f"agent {self.name} was not asked: it takes calls by TLS, and this agent has no certificate; "
                "set the same `tls.mode` for both"
            )
        hops = outbound.baggage.get().hops + 1
        if hops > MAX_HOPS:
            raise WorkflowError(
                f"agent {self.name} was not asked: {MAX_HOPS} agents have asked each other in turn already; "
                "look for a cycle between agents"
            )
        headers = {**outbound.baggage.get().headers, HOPS_HEADER: str(hops), "idempotency-key": key}
        body = {
            "assistant_id": "agent",
            "input": {"messages": [{"role": "user", "content": text}]},
            "if_not_exists": "create",
            "multitask_strategy": "enqueue",
            "on_disconnect": "continue",
        }
        try:
            answer = await self._called(http, thread, headers, body, limit)
        except CallError as error:
            if error.kind is not CallErrorKind.AUTHENTICATION:
                raise
            raise CallError(error.kind, f"{error}: {self._hint}") from None
        return _parse(answer, self.name)

    async def _called(
        self, http: httpx.AsyncClient, thread: str, headers: dict[str, str], body: dict[str, Any], limit: float
    ) -> bytes:
        return await outbound.retried(
            lambda: outbound.request(
                http,
                "POST",
                f"{self.url.rstrip('/')}/threads/{thread}/runs/wait",
                what=f"agent {self.name}",
                timeout=limit,
                headers=headers,
                body=body,
            ),
            attempts=_ATTEMPTS,
            longest_pause=_LONGEST_PAUSE,
        )

    @property
    def _hint(self) -> str:
        """What to set where the other agent does not take this one for a caller."""
        if self.url.startswith("https:"):
            return (
                "it lets in agents whose `workflow` asks it, and those in its `network.ingressFrom`: name this agent "
                f"in `spec.network.ingressFrom` of {self.name}; its pods know of it within about a minute"
            )
        return (
            f"agents prove who they are by TLS, and {self.name} has `tls.mode: Disabled`: set `tls.mode: Enabled` for "
            "both, or let everybody in by its `auth.anonymous: true`"
        )


def _parse(body: bytes, name: str) -> PeerAnswer:
    try:
        values = plain.parse(body, plain.DEEPEST)
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise CallError(CallErrorKind.BAD_ANSWER, f"agent {name} gave an answer that is no state")
    if failure := values.get("__error__"):
        raise CallError(
            CallErrorKind.SERVER,
            f"the run of agent {name} failed: {failure.get('message', 'no reason given')}",
        )
    messages = values.get("messages") or []
    last = messages[-1] if messages else {}
    return PeerAnswer(_content(last) if last.get("type") == "ai" else None, values)


def _content(message: dict[str, Any]) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(block.get("text", "") for block in content if isinstance(block, dict))

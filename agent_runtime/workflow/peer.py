"""Calls to other agents, by A2A."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from agent_runtime import outbound
from agent_runtime.a2a.client import Endpoint, Interface, discover
from agent_runtime.a2a.delivery import Delivery
from agent_runtime.a2a.protocol import PATH, TIMEOUT_HEADER, TaskState
from agent_runtime.errors import CallError, CallErrorKind, WorkflowError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import httpx

    from agent_runtime.a2a.followed import Piece, Question

HOPS_HEADER = "apm-hops"
MAX_HOPS = 8
"""Longest chain of agents that ask each other; ends cycles between agents."""

_CARD_SECONDS = 300.0
"""How long an agent's card is believed."""
_UNCLEAR = 1.0
"""Seconds after the end of a node in which its run ends as well, where it was ended with it."""
_GOODBYE = 5.0
"""Seconds in which the other agent is told that nobody waits for it any more."""
_ENDS: dict[str, tuple[CallErrorKind, str]] = {
    TaskState.FAILED: (CallErrorKind.SERVER, "the run of agent {name} failed"),
    TaskState.CANCELED: (CallErrorKind.REFUSED, "the run of agent {name} was cancelled"),
    TaskState.REJECTED: (CallErrorKind.REFUSED, "agent {name} does not take the task"),
    TaskState.AUTH_REQUIRED: (CallErrorKind.AUTHENTICATION, "agent {name} wants more proof for this task"),
}


@dataclass(frozen=True)
class Ask:
    """What is asked: `text`, in the other agent's context `context`, for at most `limit` seconds.

    What is asked again with the same `key` joins what was begun the first time.
    """

    context: str
    text: str
    key: str
    limit: float


@dataclass(frozen=True)
class Listener:
    """The node that asks.

    Attributes:
        consult: gives the answer to what the other agent asks back.
        hear: takes pieces of its answer as they come.
        goes_on: whether another pod goes on with the run that is being stopped.
    """

    consult: Callable[[list[Question]], Any]
    hear: Callable[[Piece], None]
    goes_on: Callable[[], bool]


@dataclass(frozen=True)
class PeerAnswer:
    """What another agent brought: text, or data where it has no words. The same answer has the same `identifier`."""

    identifier: str
    text: str | None
    data: Any


@dataclass(frozen=True)
class Peer:
    """Another agent.

    Attributes:
        http: None if it takes a certificate to call the agent, which this one lacks.
        token: what proves to an agent outside who calls; None for the agents of this cluster.
    """

    name: str
    url: str
    http: httpx.AsyncClient | None
    token: Callable[[], Mapping[str, str]] | None = None
    _cards: dict[str, tuple[float, Interface]] = field(default_factory=dict)
    _goodbyes: dict[str, tuple[asyncio.Task[None], asyncio.Event]] = field(default_factory=dict)

    async def ask(self, asked: Ask, listener: Listener) -> PeerAnswer:
        """Runs the other agent and waits for its answer, also while its pods come and go.

        Where nobody waits any more, since the time is over or the run is cancelled, the other agent is told.

        Raises:
            CallError: The agent could not be reached in time, or its run failed.
            WorkflowError: The chain of agents is too long, or this agent has no certificate to show.
        """
        http, hops = self._allowed()
        key = str(uuid5(NAMESPACE_URL, asked.key))
        await self._after_goodbye(key)
        deadline = time.monotonic() + _bounded(asked.limit)

        async def connect(limit: float) -> Endpoint:
            headers = {
                **outbound.passed_on(),
                **(self.token() if self.token else {}),
                HOPS_HEADER: str(hops),
                TIMEOUT_HEADER: f"{max(0.0, deadline - time.monotonic()):.3f}",
                "idempotency-key": key,
            }
            return Endpoint(self._what, http, await self._interface(http, headers, limit), headers)

        # Agents of this cluster take the same message once; of others only few do.
        looks, again = self.token is not None, outbound.baggage.get().again
        delivery = Delivery(self._what, connect, listener.hear, looks=looks, again=again)
        try:
            return await self._converse(delivery, asked, key, listener)
        except asyncio.CancelledError:
            self._say_goodbye(key, delivery, listener)
            raise
        except CallError as error:
            if error.kind is CallErrorKind.TIMEOUT:
                self._say_goodbye(key, delivery, listener)
            if error.kind is not CallErrorKind.AUTHENTICATION:
                raise
            raise CallError(error.kind, f"{error}: {self._hint}") from None

    async def _converse(self, delivery: Delivery, asked: Ask, key: str, listener: Listener) -> PeerAnswer:
        task, limit = delivery.task, _bounded(asked.limit)
        await delivery.deliver(_message(key, asked.text, contextId=asked.context), limit)
        answers = 0
        while task.state == TaskState.INPUT_REQUIRED:
            answer = listener.consult(task.questions)
            # One that was given before the node began anew is the same message, and taken once.
            message = _message(f"{key}-{answers}", answer, contextId=task.context, taskId=task.id)
            await delivery.deliver(message, limit)
            answers += 1
        if end := _ENDS.get(task.state):
            kind, told = end
            raise CallError(kind, told.format(name=self.name) + (f": {task.told}" if task.told else ""))
        return PeerAnswer(*task.answer())

    def _allowed(self) -> tuple[httpx.AsyncClient, int]:
        if self.http is None:
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
        return self.http, hops

    async def _interface(self, http: httpx.AsyncClient, headers: Mapping[str, str], limit: float) -> Interface:
        if self.token is None:
            return Interface(f"{self.url.rstrip('/')}{PATH}", streaming=True)
        read, found = self._cards.get(self.url, (0.0, None))
        if found is None or time.monotonic() - read > _CARD_SECONDS:
            found = await discover(http, self.url, headers, self._what, limit)
            self._cards[self.url] = time.monotonic(), found
        return found

    def _say_goodbye(self, key: str, delivery: Delivery, listener: Listener) -> None:
        over, again = outbound.baggage.get().over, asyncio.Event()

        async def cancel() -> None:
            # A node is stopped before it is clear whether its run ends or goes on elsewhere, where it wants the answer.
            waits = [asyncio.create_task(event.wait()) for event in (over, again)]
            await asyncio.wait(waits, timeout=_UNCLEAR, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
            if not listener.goes_on():
                with suppress(CallError, RuntimeError):  # the connections may have been given up
                    await delivery.cancel(_GOODBYE)
            self._goodbyes.pop(key, None)

        self._goodbyes[key] = asyncio.create_task(cancel()), again

    async def _after_goodbye(self, key: str) -> None:
        """A node that is tried again begins another task, and not before the old one is known to be unwanted."""
        if found := self._goodbyes.get(key):
            goodbye, again = found
            again.set()
            await asyncio.wait({goodbye})

    @property
    def _what(self) -> str:
        return f"agent {self.name}"

    @property
    def _hint(self) -> str:
        """What to set where the other agent does not take this one for a caller."""
        if self.token is not None:
            return "set `with.bearerTokenSecretRef` to a token that it takes"
        if self.url.startswith("https:"):
            return (
                "it lets in agents whose `workflow` asks it, and those in its `network.ingressFrom`: name this agent "
                f"in `spec.network.ingressFrom` of {self.name}; its pods know of it within about a minute"
            )
        return (
            f"agents prove who they are by TLS, and {self.name} has `tls.mode: Disabled`: set `tls.mode: Enabled` for "
            "both, or let everybody in by its `auth.anonymous: true`"
        )


def _bounded(limit: float) -> float:
    """Seconds, within what the run has left."""
    left = outbound.baggage.get().left
    return limit if left is None else min(limit, left)


def _message(identifier: str, content: Any, **about: str) -> dict[str, Any]:
    part = {"text": content} if isinstance(content, str) else {"data": content, "mediaType": "application/json"}
    return {"messageId": identifier, "role": "ROLE_USER", "parts": [part], **about}

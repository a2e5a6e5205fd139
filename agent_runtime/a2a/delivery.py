"""Messages brought to another agent, and their task followed to its end, also where its pods come and go."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent_runtime import outbound
from agent_runtime.a2a.client import RefusalError
from agent_runtime.a2a.errors import TaskNotFoundError, UnsupportedOperationError
from agent_runtime.a2a.followed import Followed
from agent_runtime.a2a.protocol import TaskState
from agent_runtime.errors import CallError, CallErrorKind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from agent_runtime.a2a.client import Endpoint
    from agent_runtime.a2a.followed import Piece

_UNHEARD = 20.0
"""Seconds in which an agent has to take a message; one that took it is waited for as long as the call may last."""
_PAUSE = 0.2
_LONGEST_PAUSE = 5.0
_LOOKED_AT = 50
"""Tasks of a conversation, and messages of each, among which one is looked for."""
_IN_VAIN = frozenset({TaskState.FAILED, TaskState.CANCELED, TaskState.REJECTED})
"""After these, the same message begins another task."""
_STATE_SECONDS = 30.0
"""Longest wait for an answer that needs no work of the other agent."""


@dataclass
class Delivery:
    """One task at another agent.

    Attributes:
        what: names the agent in error messages.
        connect: finds it, within the given seconds.
        hear: takes the pieces of its answer as they come.
        looks: whether to look for a message before it is sent once more, since the agent may take the same one twice.
        again: whether messages may have been sent before.
    """

    what: str
    connect: Callable[[float], Awaitable[Endpoint]]
    hear: Callable[[Piece], None]
    task: Followed = field(default_factory=Followed)
    looks: bool = False
    again: bool = False
    _taken: bool = False
    _sent: Mapping[str, Any] | None = None

    async def deliver(self, message: Mapping[str, Any], limit: float) -> None:
        """Sends a message until it is taken, and returns when the agent is no longer at the task, in `limit` seconds.

        What was sent is sent again where it is not clear whether it came: the agent takes the same message once, or is
        asked for it before.

        Raises:
            CallError: The agent can't be reached, refuses the message, or takes too long.
        """
        self.task.state, self._taken, self._sent = "", False, None
        begun, pause = time.monotonic(), _PAUSE
        while (left := begun + limit - time.monotonic()) > 0:
            try:
                await self._follow(message, left)
            except CallError as error:
                wait = outbound.pause(error, _LONGEST_PAUSE)
                if wait is False or (not self._taken and time.monotonic() - begun > _UNHEARD):
                    raise
                longest = pause if wait is True else wait
                pause = min(2 * pause, _LONGEST_PAUSE)
                await asyncio.sleep(min(longest * random.uniform(0.5, 1.0), left))  # noqa: S311 - no secret
            else:
                return
        raise CallError(CallErrorKind.TIMEOUT, f"{self.what} gave no answer within {limit:g} s")

    async def cancel(self, limit: float) -> None:
        """Asks the agent to end the task, if it has begun one.

        Raises:
            CallError: It can't be reached, or refuses.
        """
        if not self.task.id and self._sent is None:
            return
        endpoint = await self.connect(limit)
        if not self.task.id and self._sent is not None:
            await self._find(endpoint, self._sent, limit)
        if self.task.id:
            await endpoint.call("CancelTask", {"id": self.task.id}, limit)

    async def _follow(self, message: Mapping[str, Any], limit: float) -> None:
        endpoint = await self.connect(limit)
        if not self._taken and self.looks and (self.again or self._sent is not None):
            await self._find(endpoint, message, limit)
        self._sent = message
        if self._taken:
            await self._look(endpoint, limit)
            if not self.task.settled:
                await self._rejoin(endpoint, limit)
        elif endpoint.interface.streaming:
            await self._listen(endpoint, "SendStreamingMessage", {"message": message}, limit)
        else:
            params = {"message": message, "configuration": {"returnImmediately": True}}
            self.task.apply(await endpoint.call("SendMessage", params, limit))
            self._taken = True
        if not self.task.settled:
            raise CallError(CallErrorKind.CONNECTION, f"{self.what} has not ended its task")
        if not self.task.known:
            await self._look(endpoint, limit)

    async def _rejoin(self, endpoint: Endpoint, limit: float) -> None:
        """Goes on to follow a task whose stream broke; without streams the next look tells."""
        if not endpoint.interface.streaming:
            return
        try:
            await self._listen(endpoint, "SubscribeToTask", {"id": self.task.id}, limit)
        except RefusalError as error:
            if error.code != UnsupportedOperationError.code:
                raise
            # It has ended since.
            await self._look(endpoint, limit)

    async def _find(self, endpoint: Endpoint, message: Mapping[str, Any], limit: float) -> None:
        """Takes up the task that a message has begun or gone on with, if there is one."""
        wanted = {"contextId": message["contextId"], "pageSize": _LOOKED_AT, "historyLength": _LOOKED_AT}
        try:
            found = await endpoint.call("ListTasks", wanted, min(limit, _STATE_SECONDS))
        except RefusalError:
            # It does not list tasks.
            return
        for task in found.get("tasks") or ():
            known = any(one.get("messageId") == message["messageId"] for one in task.get("history") or ())
            if known and task.get("status", {}).get("state") not in _IN_VAIN:
                self.task.take(task)
                self._taken = True
                return

    async def _look(self, endpoint: Endpoint, limit: float) -> None:
        try:
            self.task.take(await endpoint.call("GetTask", {"id": self.task.id}, min(limit, _STATE_SECONDS)))
        except RefusalError as error:
            if error.code != TaskNotFoundError.code:
                raise
            # It kept the task in memory, and that pod is gone: the message begins another one.
            self._taken = False
            raise CallError(CallErrorKind.CONNECTION, f"{self.what} has lost the task") from error

    async def _listen(self, endpoint: Endpoint, method: str, params: Mapping[str, Any], limit: float) -> None:
        async with aclosing(endpoint.stream(method, params, limit)) as events:
            async for event in events:
                self._taken = True
                if (piece := self.task.apply(event)) is not None:
                    self.hear(piece)
                if self.task.settled:
                    return

"""Calls of the agent as a tool: each is a run."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_OID, uuid4, uuid5

from agent_runtime.errors import AgentError, ConflictError, InputError, NotFoundError, UnavailableError
from agent_runtime.runs.approvals import Approvals
from agent_runtime.runs.encode import dumps
from agent_runtime.runs.request import RunRequest
from agent_runtime.runs.resumption import ANSWER, Resumption
from agent_runtime.runs.service import TEMPORARY, new_thread
from agent_runtime.runs.spoken import MODES
from agent_runtime.state.records import CANCELLED, OWN_PREFIX, RunQuery
from agent_runtime.workflow.questions import question_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from langgraph.types import Interrupt

    from agent_runtime.agent import Agent
    from agent_runtime.auth.principal import Principal
    from agent_runtime.mcp.own_tools import OwnTools
    from agent_runtime.runs.caller import Caller
    from agent_runtime.state.records import Run

CALL = OWN_PREFIX + "mcp"
"""Tells in a run's metadata by which key it was called, see `_mark`."""
_PATIENCE = 5.0


@dataclass(frozen=True)
class Begun:
    """A run that a call has begun or joined."""

    run: Run
    lone: bool
    """Whether the thread was made for this call, and nobody can come back to it."""


@dataclass(frozen=True)
class Calls:
    """What a caller can do with the agent as a tool. Threads of one caller are not there for another."""

    agent: Agent
    _background: set[asyncio.Task[None]] = field(default_factory=set)

    async def begin(
        self, tools: OwnTools, arguments: Mapping[str, Any], caller: Caller, key: str | None, *, follows: bool
    ) -> Begun:
        """Accepts a run; a second call with the same key, thread and arguments joins the first one's.

        `key` counts for retries by the client, `caller.key` is what the call is known by in any case.

        Raises:
            InputError: The arguments don't fit.
            AgentError: As `RunService.submit`.
        """
        self._refuse_draining()
        given, named = tools.input_of(arguments)
        principal = caller.principal
        # The same key with other arguments is another call.
        known_by = f"{key or caller.key}:{sha256(dumps(dict(arguments))).hexdigest()}" if key or caller.key else None
        alone = str(uuid5(NAMESPACE_OID, f"{principal.owner}:{known_by}") if known_by else uuid4())
        thread = principal.key(named or alone)
        if named is None and key and not tools.asks:
            # Goes some minutes after its end, in which the same call finds it.
            await self.agent.runs.store.add_thread(new_thread(thread, principal, {TEMPORARY: True}))
        modes: Any = MODES if follows else ["custom"]
        asked = RunRequest(
            assistant_id="agent",
            input=given,
            metadata={CALL: _mark(principal, caller.key) if caller.key else ""},
            if_not_exists="create",
            stream_mode=modes,
        )
        run = await self.agent.runs.submit(thread, asked, replace(caller, key=known_by))
        return Begun(run, named is None and not key)

    async def answer(self, thread_id: str, question: str | None, answer: Any, caller: Caller) -> Run:
        """Begins the run that goes on with an answer.

        Raises:
            NotFoundError: The caller has no such thread.
            ConflictError: It asks nothing, or not this.
            InputError: The answer does not fit, or it is not clear what it is for.
        """
        self._refuse_draining()
        runs = self.agent.runs
        thread = await runs.store.thread(caller.principal.key(thread_id))
        if thread is None:
            raise NotFoundError(f"there is no conversation {thread_id}")
        resumption = Resumption(runs)
        standing = await resumption.standing(thread)
        if standing.busy:
            raise ConflictError(f"the agent is at work in {thread_id}: nothing is asked now")
        one = _chosen(standing.asked, question)
        if question_of(one.value) is not None:
            _, run = await Approvals(runs).answer(f"{thread_id}:{one.id}", answer, caller)
            return run
        if isinstance(one.value, dict) and one.value.get("type") == "wait":
            raise ConflictError(f"the agent waits for an event in {thread_id}, and asks nothing")
        mark = f"{one.id}:{caller.key or uuid4()}"
        return await resumption.resume(thread, standing, {one.id: answer}, caller, {ANSWER: mark})

    async def cancel(self, key: str, principal: Principal) -> None:
        """Ends the run that was called by a key of the caller's, wherever it executes; there may be none."""
        found = await self.agent.runs.store.find_runs(RunQuery(principal.owner, {CALL: _mark(principal, key)}, limit=1))
        for run in found:
            await self._end(run)

    def abandon(self, run: Run) -> None:
        """Ends a run whose caller went away, unless the pod itself ends; does not wait for that."""
        if self.agent.draining:
            return
        task = asyncio.create_task(self._end(run))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def forget(self, begun: Begun) -> None:
        """Removes the thread of a call that nobody can come back to; does not wait for that."""
        if begun.lone:
            self.agent.runs.forget(begun.run)

    async def close(self) -> None:
        """Ends what it does in the background."""
        if self._background:
            await asyncio.wait(self._background, timeout=_PATIENCE)

    async def _end(self, run: Run) -> None:
        with suppress(AgentError):
            if run.active:
                # A call that was cancelled and is made again begins anew.
                await self.agent.runs.store.update_run(run, {CANCELLED: True})
                await self.agent.runs.cancel(run)

    def _refuse_draining(self) -> None:
        if self.agent.draining and not self.agent.store.durable:
            raise UnavailableError("the pod is about to end: send the request to another one")


def _mark(principal: Principal, key: str) -> str:
    """What is kept of a key: clients choose it, as long and as odd as they like, and each for itself."""
    return sha256(f"{principal.owner}\0{key}".encode(errors="surrogatepass")).hexdigest()


def _chosen(asked: tuple[Interrupt, ...], question: str | None) -> Interrupt:
    if not asked:
        raise ConflictError("the agent asks nothing: it was answered, or went on")
    if question is None and len(asked) > 1:
        raise InputError(f"the agent asks {len(asked)} things: name one as `question`")
    found = next((one for one in asked if question in {None, one.id}), None)
    if found is None:
        raise ConflictError(f"the question {question} is not open: it was answered, or the agent has gone on")
    return found

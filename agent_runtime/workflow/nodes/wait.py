from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langgraph.config import get_config
from langgraph.runtime import get_runtime
from langgraph.types import Interrupt, interrupt

from agent_runtime.errors import InputError, WorkflowError
from agent_runtime.events.event import Event
from agent_runtime.events.wait import WAIT_VARIABLES, Wait
from agent_runtime.spec.expression import Expression, state_fields
from agent_runtime.spec.scalars import seconds
from agent_runtime.spec.size import exceeds
from agent_runtime.spec.template import as_text
from agent_runtime.workflow.edges import target
from agent_runtime.workflow.expiry import EXPIRES_AT, expires_at, expiry_of, is_expired
from agent_runtime.workflow.parts import idempotency_key

if TYPE_CHECKING:
    from agent_runtime.spec.wait_node import WaitNode
    from agent_runtime.workflow.parts import NodeFunction, Parts

_LARGEST = 64 << 10
"""Bytes of state that a filter may name; they are kept with who waits."""


class WaitExpiredError(WorkflowError):
    """The event did not come in time."""

    def __init__(self, message: str, goto: str | None) -> None:
        """`goto` is where LangGraph goes on, if the node says so."""
        super().__init__(message)
        self.goto = goto


def build(node: WaitNode, parts: Parts) -> NodeFunction:
    """A node that lets the run rest until an event comes."""
    params = node.with_
    subject = Expression.compile(params.subject) if params.subject else None
    if params.filter:
        Expression.compile(params.filter, WAIT_VARIABLES)
    fields = set(state_fields(params.filter or ""))
    goto = target(params.on_timeout) if params.on_timeout else None

    async def run(state: dict[str, Any]) -> dict[str, Any]:
        view, events = parts.view(state), parts.services.events()
        value = _question(node)
        thread_id, step = _place()
        bound = {name: view[name] for name in fields if name in view}
        if exceeds(bound, _LARGEST):
            raise WorkflowError(f"the filter names more than {_LARGEST >> 10} KiB of state: name smaller fields")
        key = idempotency_key()
        wait = Wait(
            key,
            thread_id,
            step,
            _interrupt_id(),
            params.type,
            params.source,
            as_text(await subject.evaluate(state=view)) if subject else None,
            params.filter,
            bound,
            expiry_of(value),
        )
        entry = await events.begin_wait(wait)
        event = entry.event if entry is not None else None
        if event is None:
            answer = interrupt(value)
            await events.end_wait(wait)
            if is_expired(answer):
                raise WaitExpiredError(f"no event {params.type} came within {params.timeout}", goto)
            event = _read(answer)
        return parts.update({params.save: event.as_json}) if params.save else {}

    return run


def _question(node: WaitNode) -> dict[str, Any]:
    """The interrupt's value, the same whenever the node runs again."""
    timeout = node.with_.timeout
    told = {"type": "wait", "node": node.name, "event": node.with_.type}
    return {**told, EXPIRES_AT: expires_at(seconds(timeout))} if timeout else told


def _place() -> tuple[str, str]:
    """The thread, and the step in it."""
    info = get_runtime().execution_info
    if info is None or info.thread_id is None:
        raise WorkflowError("a `wait` node needs a thread to come back to")
    return info.thread_id, f"{info.thread_id}:{info.checkpoint_id}"


def _interrupt_id() -> str:
    """The id that the node's one interrupt will have."""
    return Interrupt.from_ns(None, get_config()["configurable"]["checkpoint_ns"]).id


def _read(answer: Any) -> Event:
    try:
        return Event.of_json(answer)
    except InputError as error:
        raise WorkflowError(f"a `wait` node goes on with an event: {error}") from error

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

from agent_runtime import outbound
from agent_runtime.errors import CallError, CallErrorKind, TooManyRequestsError, WorkflowError
from agent_runtime.events.errors import HopsError
from agent_runtime.events.event import HOPS, SPEC_VERSION, Event
from agent_runtime.spec.expression import Expression
from agent_runtime.spec.template import as_text
from agent_runtime.state.records import now
from agent_runtime.workflow.parts import idempotency_key

if TYPE_CHECKING:
    from agent_runtime.spec.emit_node import EmitNode
    from agent_runtime.workflow.parts import NodeFunction, Parts


def build(node: EmitNode, parts: Parts) -> NodeFunction:
    """A node that puts an event into the agent's log.

    The event's id comes from thread, checkpoint and task: a step that is done again puts nothing in twice.
    """
    params = node.with_
    subject = Expression.compile(params.subject) if params.subject else None
    data = Expression.compile(params.data) if params.data else None

    async def run(state: dict[str, Any]) -> dict[str, Any]:
        view, events = parts.view(state), parts.services.events()
        given = outbound.baggage.get()
        attributes: dict[str, Any] = {
            "specversion": SPEC_VERSION,
            "id": str(uuid5(NAMESPACE_URL, idempotency_key())),
            "source": events.source,
            "type": params.type,
            "time": now(),
            HOPS: given.hops + 1,
        }
        if subject is not None:
            attributes["subject"] = as_text(await subject.evaluate(state=view)) or None
        if trace := outbound.passed_on().get("traceparent"):
            attributes["traceparent"] = trace
        if data is not None:
            attributes["datacontenttype"] = "application/json"
        event = Event.of(attributes, _plain(await data.evaluate(state=view)) if data else None)
        try:
            await events.emit(event, given.owner)
        except HopsError as error:
            raise WorkflowError(str(error)) from error
        except TooManyRequestsError as error:
            raise CallError(CallErrorKind.RATE_LIMIT, str(error), retry_after=error.retry_after) from error
        return parts.update({params.save: event.id}) if params.save else {}

    return run


def _plain(value: Any) -> Any:
    """The value as JSON has it: CEL has times and durations as well."""
    return json.loads(json.dumps(value, default=str))

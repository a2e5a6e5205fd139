from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, UUID, uuid5

from langchain_core.messages import AIMessage
from langgraph.runtime import get_runtime

from agent_runtime.errors import WorkflowError
from agent_runtime.spec.expression import Expression
from agent_runtime.spec.scalars import seconds
from agent_runtime.spec.template import as_text
from agent_runtime.workflow.parts import idempotency_key

if TYPE_CHECKING:
    from agent_runtime.spec.node import AgentNode
    from agent_runtime.workflow.parts import NodeFunction, Parts


def build(node: AgentNode, parts: Parts) -> NodeFunction:
    """A node that asks another agent, in one lasting thread per conversation."""
    params, services = node.with_, parts.services
    if params.ref not in services.peers:
        raise WorkflowError(f"node `{node.name}`: the config names no address of agent `{params.ref}`")
    peer, limit = services.peers[params.ref], seconds(params.timeout)
    text = Expression.compile(params.input) if params.input else None

    async def run(state: dict[str, Any]) -> dict[str, Any]:
        view = parts.view(state)
        question = as_text(await text.evaluate(state=view)) if text else _last_of_person(view)
        answer = await peer.ask(_thread(params.ref), question, idempotency_key(), limit)
        if params.save:
            return parts.update({params.save: answer.text if answer.text is not None else answer.values})
        reply = AIMessage(content=as_text(answer.text if answer.text is not None else answer.values), name=params.ref)
        return parts.update({"messages": [reply]})

    return run


def _last_of_person(view: dict[str, Any]) -> str:
    spoken = [message for message in view.get("messages") or [] if message["role"] == "user"]
    if not spoken:
        raise WorkflowError("there is no message of a person to hand on: set `with.input`")
    return str(spoken[-1]["content"])


def _thread(ref: str) -> str:
    """The thread at the other agent that belongs to this one."""
    info = get_runtime().execution_info
    own = (info.thread_id if info else None) or idempotency_key()
    try:
        namespace = UUID(own)
    except ValueError:
        namespace = uuid5(NAMESPACE_URL, own)
    return str(uuid5(namespace, ref))

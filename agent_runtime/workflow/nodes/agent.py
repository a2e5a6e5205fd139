from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, UUID, uuid5

from langchain_core.messages import AIMessage
from langgraph.runtime import get_runtime
from langgraph.types import interrupt

from agent_runtime.errors import WorkflowError
from agent_runtime.spec.expression import Expression
from agent_runtime.spec.scalars import seconds
from agent_runtime.spec.template import as_text
from agent_runtime.state.records import now
from agent_runtime.tracing import spans
from agent_runtime.workflow.expiry import EXPIRES_AT, expiry_of, is_expired
from agent_runtime.workflow.parts import idempotency_key
from agent_runtime.workflow.peer import Ask, Listener, Peer
from agent_runtime.workflow.questions import without_approvers

if TYPE_CHECKING:
    from agent_runtime.a2a.followed import Piece, Question
    from agent_runtime.spec.node import AgentNode
    from agent_runtime.workflow.parts import NodeFunction, Parts

_SLACK = timedelta(seconds=10)
"""How long after the end of a question the agent that asked it is looked after; then twice as long each time."""
_LONGEST_SLACK = timedelta(days=1)


def build(node: AgentNode, parts: Parts) -> NodeFunction:
    """A node that asks another agent, in one lasting thread per conversation."""
    params = node.with_
    name = params.ref or node.name
    peer, limit = _peer(node, parts), seconds(params.timeout)
    text = Expression.compile(params.input) if params.input else None

    async def run(state: dict[str, Any]) -> dict[str, Any]:
        view = parts.view(state)
        question = as_text(await text.evaluate(state=view)) if text else _last_of_person(view)
        asked = Ask(_thread(params.ref or str(params.url)), question, idempotency_key(), limit)
        about = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": name}
        with spans.span(f"invoke_agent {name}", "client", about):
            answer = await peer.ask(asked, _listener(name, told=params.save is None))
        said = answer.text if answer.text is not None else answer.data
        if params.save:
            return parts.update({params.save: said})
        reply = AIMessage(id=answer.identifier, content=as_text(said), name=name)
        return parts.update({"messages": [reply]})

    return run


def _peer(node: AgentNode, parts: Parts) -> Peer:
    params, services = node.with_, parts.services
    if params.url is not None:
        ref = params.bearer_token_secret_ref
        token = (lambda: services.secrets.bearer(ref)) if ref else dict
        return Peer(node.name, params.url, services.http, token)
    if (peer := services.peers.get(params.ref or "")) is None:
        raise WorkflowError(f"node `{node.name}`: the config names no address of agent `{params.ref}`")
    return peer


def _listener(name: str, *, told: bool) -> Listener:
    runtime = get_runtime()

    def hear(piece: Piece) -> None:
        if told:
            runtime.stream_writer({"agent": name, "id": piece.identifier, "text": piece.text})

    return Listener(_consult, hear, lambda: runtime.control is not None and runtime.control.drain_requested)


def _consult(questions: list[Question]) -> Any:
    """Asks who asked this agent. One question stands as it came; several are numbered, and the answer names numbers.

    The other agent's ids would be taken for those of this one's interrupts.
    """
    if len(questions) == 1:
        return _asked(questions[0].value)
    ids = {str(number): question.id for number, question in enumerate(questions)}
    answer = interrupt([{"id": number, "value": one.value} for number, one in zip(ids, questions, strict=True)])
    if not isinstance(answer, dict) or answer.keys() != ids.keys():
        raise WorkflowError(f"the other agent asks {len(ids)} things: answer by an object with the fields {list(ids)}")
    return {ids[number]: value for number, value in answer.items()}


def _asked(value: Any) -> Any:
    """The answer to one question. One that expires, expires at the other agent: here it is only looked after then.

    Who may answer there, may not do so here.
    """
    end = expiry_of(value)
    if end is None:
        return interrupt(without_approvers(value))
    slack = _SLACK
    while True:
        # The other agent may name a time that is long over.
        end, slack = max(end, now()) + slack, min(2 * slack, _LONGEST_SLACK)
        answer = interrupt({**without_approvers(value), EXPIRES_AT: end.isoformat()})
        if not is_expired(answer):
            return answer


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

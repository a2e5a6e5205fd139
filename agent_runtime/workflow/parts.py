"""What the nodes of a workflow need to do their work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langgraph.runtime import get_runtime

from agent_runtime.errors import WorkflowError
from agent_runtime.workflow.channels import fit
from agent_runtime.workflow.view import state_view

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    import httpx
    from langchain_core.language_models.chat_models import BaseChatModel

    from agent_runtime.outbound import Secrets
    from agent_runtime.spec.workflow import WorkflowSpec
    from agent_runtime.workflow.http_tool import HTTPToolCaller
    from agent_runtime.workflow.peer import Peer

    NodeFunction = Callable[[dict[str, Any]], Awaitable[Any]]


@dataclass(frozen=True)
class Services:
    """What all workflows of an agent share."""

    http: httpx.AsyncClient
    secrets: Secrets
    models: Mapping[str, BaseChatModel]
    peers: Mapping[str, Peer]


@dataclass(frozen=True)
class Parts:
    """One workflow with the services its nodes use."""

    workflow: WorkflowSpec
    services: Services
    tools: Mapping[str, HTTPToolCaller]

    def view(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """The variable `state` of expressions."""
        return state_view(state, self.workflow.state)

    def update(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """A write to channels, each value checked against its channel's type."""
        channels = self.workflow.state
        if unknown := sorted(values.keys() - channels.keys()):
            raise WorkflowError(f"there is no channel `{unknown[0]}`: declare it in `state`")
        return {name: fit(name, channels[name], value) for name, value in values.items()}


def idempotency_key() -> str:
    """A key of the running task that stays the same when the task is tried again or resumed."""
    info = get_runtime().execution_info
    if info is None:
        raise WorkflowError("a node ran outside a graph")
    return f"{info.thread_id or 'none'}:{info.checkpoint_id}:{info.task_id}"

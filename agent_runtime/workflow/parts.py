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

    from agent_runtime.events.port import EventPort
    from agent_runtime.integrations.access import Integrations
    from agent_runtime.mcp.servers import MCPServers
    from agent_runtime.outbound import Secrets
    from agent_runtime.resilience.assembly import Resilience
    from agent_runtime.spec.workflow import WorkflowSpec
    from agent_runtime.workflow.peer import Peer
    from agent_runtime.workflow.tools import Tool

    NodeFunction = Callable[[dict[str, Any]], Awaitable[Any]]


@dataclass(frozen=True)
class Services:
    """What all workflows of an agent share."""

    http: httpx.AsyncClient
    secrets: Secrets
    models: Mapping[str, BaseChatModel]
    peers: Mapping[str, Peer]
    integrations: Callable[[], Integrations]
    """Made at first use: most agents have none."""
    resilience: Resilience
    events: Callable[[], EventPort]
    """Asked for by nodes that emit or await some."""
    mcp_servers: MCPServers | None = None


@dataclass(frozen=True)
class Parts:
    """One workflow with the services its nodes use."""

    workflow: WorkflowSpec
    services: Services
    tools: Mapping[str, Tool]

    def view(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """The variable `state` of expressions."""
        return state_view(state, self.workflow.state)

    def update(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """A write to channels, each value checked against its channel's type."""
        channels = self.workflow.state
        if unknown := sorted(values.keys() - channels.keys()):
            raise WorkflowError(f"there is no channel `{unknown[0]}`: declare it in `state`")
        return {name: fit(name, channels[name], value) for name, value in values.items()}

    async def route(self, target: str) -> None:
        """Counts the running task's step to another agent or node.

        Raises:
            CallError: The limits of the agent are used up.
        """
        await self.services.resilience.route(target, idempotency_key())


def idempotency_key() -> str:
    """A key of the running task that stays the same when the task is tried again or resumed."""
    info = get_runtime().execution_info
    if info is None:
        raise WorkflowError("a node ran outside a graph")
    return f"{info.thread_id or 'none'}:{info.checkpoint_id}:{info.task_id}"

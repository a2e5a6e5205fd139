from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_runtime.errors import ConfigError, WorkflowError
from agent_runtime.spec.checks import check
from agent_runtime.spec.identity import agent_uri
from agent_runtime.workflow.peer import Peer

if TYPE_CHECKING:
    from collections.abc import Callable

    from langgraph.graph.state import CompiledStateGraph

    from agent_runtime.clients import Clients
    from agent_runtime.events.port import EventPort
    from agent_runtime.integrations.access import Integrations
    from agent_runtime.mcp.servers import MCPServers
    from agent_runtime.outbound import Secrets
    from agent_runtime.resilience.assembly import Resilience
    from agent_runtime.spec.agent import RuntimeConfig


def build_graph(
    config: RuntimeConfig,
    clients: Clients,
    secrets: Secrets,
    resilience: Resilience,
    integrations: Callable[[], Integrations] | None = None,
    *,
    mcp_servers: MCPServers | None = None,
    events: Callable[[], EventPort | None] = lambda: None,
) -> CompiledStateGraph[Any]:
    """The agent's graph, from its workflow or the user's own code, without a checkpointer.

    `integrations` are asked for where a tool needs them; without it they are those of the spec and the environment.
    `mcp_servers` are those of the spec; without it no tool can be of one.

    Raises:
        ConfigError: The spec has problems, the graph can't be loaded, or a tool's integration is not configured.
    """
    if problems := check(config.spec):
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise ConfigError(f"{problems[0].path}: {problems[0].message}{more}")
    if config.spec.graph is not None:
        from agent_runtime.workflow.own_graph import load_graph  # noqa: PLC0415 - loaded only where it is used

        return load_graph(config.spec.graph)
    from agent_runtime.models.registry import build as build_models  # noqa: PLC0415 - likewise
    from agent_runtime.workflow.compile import compile_workflow  # noqa: PLC0415 - likewise
    from agent_runtime.workflow.parts import Services  # noqa: PLC0415 - likewise

    def configured() -> Integrations:
        from agent_runtime.integrations.access import Integrations  # noqa: PLC0415 - likewise

        return Integrations.configured(config.spec.integrations, clients.http, secrets, breakers=resilience.breakers)

    def working() -> EventPort:
        if (found := events()) is None:
            raise WorkflowError("nodes that emit or await events need an agent that runs")
        return found

    peers = {
        name: Peer(name, url, clients.to(url, agent_uri(config.agent.namespace, name)))
        for name, url in config.peers.items()
    }
    models = build_models(config.spec.models, clients.http, secrets, resilience)
    services = Services(
        clients.http, secrets, models, peers, integrations or configured, resilience, working, mcp_servers
    )
    return compile_workflow(config.spec, services)

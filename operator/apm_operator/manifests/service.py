from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apm_operator.kinds import REACHED_LABEL, SERVICES

if TYPE_CHECKING:
    from apm_operator.manifests.agent import Agent


def build(agent: Agent) -> dict[str, Any]:
    """The address under which people and other agents reach the agent."""
    port = {"name": agent.scheme, "port": agent.port, "protocol": "TCP", "targetPort": agent.scheme}
    selector = {REACHED_LABEL: agent.name} if agent.sleeps else agent.selector
    return agent.manifest(SERVICES, agent.name, spec={"type": "ClusterIP", "selector": selector, "ports": [port]})

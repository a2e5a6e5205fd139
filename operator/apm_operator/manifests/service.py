from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apm_operator.kinds import SERVICES
from apm_operator.manifests.agent import PORT, PORT_NAME

if TYPE_CHECKING:
    from apm_operator.manifests.agent import Agent


def build(agent: Agent) -> dict[str, Any]:
    """The address under which people and other agents reach the agent."""
    port = {"name": PORT_NAME, "port": PORT, "protocol": "TCP", "targetPort": PORT_NAME}
    return agent.manifest(SERVICES, agent.name, spec={"type": "ClusterIP", "selector": agent.selector, "ports": [port]})

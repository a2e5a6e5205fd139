from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apm_operator.kinds import REACHED_LABEL, SERVICES

if TYPE_CHECKING:
    from apm_operator.manifests.agent import Agent


def build(agent: Agent) -> dict[str, Any]:
    """The address under which people and other agents reach the agent."""
    return _before(agent, {REACHED_LABEL: agent.name} if agent.sleeps else agent.selector)


def direct(agent: Agent) -> dict[str, Any] | None:
    """The same before the agent's own pods alone, until its activator is ready; None where it has none."""
    return _before(agent, agent.selector) if agent.sleeps else None


def _before(agent: Agent, pods: dict[str, str]) -> dict[str, Any]:
    port = {"name": agent.scheme, "port": agent.port, "protocol": "TCP", "targetPort": agent.scheme}
    return agent.manifest(SERVICES, agent.name, spec={"type": "ClusterIP", "selector": pods, "ports": [port]})

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apm_operator.kinds import CONFIG_MAPS

if TYPE_CHECKING:
    from apm_operator.manifests.agent import Agent

FILE_NAME = "agent.json"


def build(agent: Agent) -> dict[str, Any]:
    """The runtime's config; another content is another object, so that a roll-out never mixes two of them."""
    return agent.manifest(CONFIG_MAPS, agent.config_map, immutable=True, data={FILE_NAME: agent.config})

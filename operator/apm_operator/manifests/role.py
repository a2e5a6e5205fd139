from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apm_operator.kinds import ROLES

if TYPE_CHECKING:
    from apm_operator.manifests.agent import Agent


def build(agent: Agent) -> dict[str, Any] | None:
    """What the agent may do in its namespace; a Role gives nothing of other namespaces or of the cluster."""
    if not agent.permissions:
        return None
    rules = [each.model_dump(mode="json", by_alias=True, exclude_defaults=True) for each in agent.permissions]
    return agent.manifest(ROLES, agent.name, rules=rules)

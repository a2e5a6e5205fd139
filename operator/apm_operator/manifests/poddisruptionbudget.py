from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apm_operator.kinds import DISRUPTION_BUDGETS

if TYPE_CHECKING:
    from apm_operator.manifests.agent import Agent


def build(agent: Agent) -> dict[str, Any] | None:
    """From two replicas on, a drain takes one pod at a time; a budget for one pod would block every drain."""
    if agent.spec.most_replicas < 2:  # noqa: PLR2004
        return None
    return agent.manifest(
        DISRUPTION_BUDGETS,
        agent.name,
        spec={
            "maxUnavailable": 1,
            "selector": {"matchLabels": agent.selector},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    )

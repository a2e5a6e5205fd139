from __future__ import annotations

from typing import TYPE_CHECKING, Any

from apm_operator.kinds import DEPLOYMENTS
from apm_operator.manifests import pod

if TYPE_CHECKING:
    from apm_operator.manifests.agent import Agent

PROGRESS_DEADLINE_SECONDS = 300


def build(agent: Agent) -> dict[str, Any]:
    """The agent's pods; a new version starts before an old pod ends, so that a roll-out keeps the capacity.

    Their number is left out where an autoscaler sets it.
    """
    return agent.manifest(
        DEPLOYMENTS,
        agent.name,
        spec={
            **({} if agent.spec.scales_itself else {"replicas": agent.spec.replicas}),
            "selector": {"matchLabels": agent.selector},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0},
            },
            "revisionHistoryLimit": 3,
            "progressDeadlineSeconds": PROGRESS_DEADLINE_SECONDS,
            "template": pod.template(agent),
        },
    )

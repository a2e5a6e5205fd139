from __future__ import annotations

from typing import TYPE_CHECKING, Any

from agent_runtime.spec.scalars import seconds
from apm_operator.kinds import AUTOSCALERS, DEPLOYMENTS

if TYPE_CHECKING:
    from apm_operator.api.autoscaling import Autoscaling
    from apm_operator.manifests.agent import Agent

_UP_SECONDS = 15
"""Kubernetes looks at the load this often."""
_DOWN_SECONDS = 60


def build(agent: Agent) -> dict[str, Any] | None:
    """What sets the number of pods.

    Nothing where KEDA does that, or while no pods are wanted, since it can't begin with none.
    """
    wanted = agent.spec.autoscaling
    if wanted is None or not agent.spec.scales_itself or not wanted.resource_targets:
        return None
    if wanted.target_queue_depth is not None and agent.surroundings.keda:
        return None
    return agent.manifest(
        AUTOSCALERS,
        agent.name,
        spec={
            "scaleTargetRef": {
                "apiVersion": DEPLOYMENTS.api_version,
                "kind": DEPLOYMENTS.kind,
                "name": agent.name,
            },
            "minReplicas": max(wanted.min_replicas, 1),
            "maxReplicas": wanted.max_replicas,
            "metrics": [_resource(name, target) for name, target in wanted.resource_targets.items()],
            "behavior": behavior(wanted),
        },
    )


def behavior(wanted: Autoscaling) -> dict[str, Any]:
    """How fast pods come and go.

    Up, it at most doubles them, or adds four, each time that Kubernetes looks; down, at most a half of them end in a
    minute, since each of them hands over what it works on.
    """
    return {
        "scaleUp": {
            "stabilizationWindowSeconds": 0,
            "selectPolicy": "Max",
            "policies": [_policy("Percent", 100, _UP_SECONDS), _policy("Pods", 4, _UP_SECONDS)],
        },
        "scaleDown": {
            "stabilizationWindowSeconds": int(seconds(wanted.scale_down_stabilization)),
            "selectPolicy": "Max",
            "policies": [_policy("Percent", 50, _DOWN_SECONDS), _policy("Pods", 1, _DOWN_SECONDS)],
        },
    }


def _resource(name: str, percent: int) -> dict[str, Any]:
    target = {"type": "Utilization", "averageUtilization": percent}
    return {"type": "Resource", "resource": {"name": name, "target": target}}


def _policy(kind: str, value: int, period: int) -> dict[str, Any]:
    return {"type": kind, "value": value, "periodSeconds": period}

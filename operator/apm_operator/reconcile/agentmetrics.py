"""Metrics of agents: read off what is known of them each time, so that they are right after a restart too."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from apm_operator import conditions, metrics
from apm_operator.kinds import AGENTS

if TYPE_CHECKING:
    from apm_operator.reconcile.cache import Cache

_NEW = "New"
"""Stands for the reason of an agent that no pass has dealt with yet."""


def export(cache: Cache) -> None:
    """Write how the agents are to the metrics."""
    reasons: Counter[str] = Counter()
    for each in (metrics.AGENTS, *metrics.OF_AGENTS):
        each.clear()
    for key in cache:
        entry = cache.get(key)
        if entry is None or entry.agent is None or key.kind != AGENTS.kind:
            continue
        at, told = (key.namespace, key.name), entry.agent.status.get("conditions") or ()
        reason = conditions.reason(told) or _NEW
        reasons[reason] += 1
        metrics.AGENT_READY.labels(*at, reason).set(conditions.truth(told) == "True")
        if entry.deployment is not None:
            metrics.AGENT_REPLICAS.labels(*at).set(entry.deployment.wanted)
            metrics.AGENT_REPLICAS_READY.labels(*at).set(entry.deployment.ready)
        if scaled := conditions.reason(told, conditions.AUTOSCALING):
            following = conditions.truth(told, conditions.AUTOSCALING) == "True"
            metrics.AGENT_AUTOSCALING.labels(*at, scaled).set(following)
        metrics.AGENT_RESTARTS.labels(*at).set(sum(pod.restarts for pod in entry.pods.values()))
    for reason, number in reasons.items():
        metrics.AGENTS.labels(reason).set(number)

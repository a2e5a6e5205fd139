"""The status of an AgentDeployment, and the one patch that writes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from apm_operator.api.status import LONGEST_TOKEN
from apm_operator.conditions import Aspect, Verdict, conditions

if TYPE_CHECKING:
    from apm_operator.reconcile.entry import Entry
    from apm_operator.reconcile.plan import Plan


def wanted(
    entry: Entry, plan: Plan | None, verdict: Verdict, now: str, aspects: Iterable[Aspect] = ()
) -> dict[str, Any]:
    """The whole status; fields that have nothing to say are absent."""
    agent = entry.agent
    if agent is None:
        raise ValueError("An agent that is gone has no status")
    before = agent.status
    facts = entry.deployment
    # A newer spec may have come during the pass: what is told is about the one that was worked on.
    generation = plan.generation if plan is not None else agent.generation
    status: dict[str, Any] = {
        "conditions": conditions(
            verdict, aspects, generation=generation, now=now, before=before.get("conditions") or ()
        ),
        "replicas": facts.replicas if facts else 0,
        "readyReplicas": facts.ready if facts else 0,
    }
    status["observedGeneration"] = generation if verdict.certain else before.get("observedGeneration")
    if agent.reconcile_at:
        status["lastHandledReconcileAt"] = agent.reconcile_at[:LONGEST_TOKEN]
    if plan is not None:
        status |= {
            "selector": plan.selector,
            "url": plan.url,
            "workflow": plan.workflow,
            "model": plan.model,
            "configHash": plan.config_hash,
        }
    else:
        kept = ("selector", "url", "workflow", "model", "configHash")
        status |= {name: before[name] for name in kept if name in before}
    return {name: value for name, value in status.items() if value not in ("", None)}


def patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The top-level fields that differ; None for one that goes away."""
    changed = {name: value for name, value in after.items() if before.get(name) != value}
    return changed | {name: None for name in before if name not in after}

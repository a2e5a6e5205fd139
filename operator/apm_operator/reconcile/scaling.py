"""An autoscaler's part in an agent: how it begins, and how it is told of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from apm_operator import conditions as c
from apm_operator.conditions import Aspect, Truth
from apm_operator.kinds import DEPLOYMENTS, FIELD_MANAGER, REPLICAS_MANAGER
from apm_operator.manifests.agent import canonical

if TYPE_CHECKING:
    from apm_operator.kube import Kube
    from apm_operator.queue import Key
    from apm_operator.reconcile.cache import Cache
    from apm_operator.reconcile.plan import Plan


@dataclass(frozen=True, slots=True)
class AutoscalerFacts:
    """What a pass needs to know of a HorizontalPodAutoscaler's status.

    Attributes:
        active: whether it knows how many pods there should be.
        reason: why, in its own word.
        limited: whether it wants more than it may have.
    """

    active: Truth = "Unknown"
    reason: str = ""
    limited: bool = False

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> AutoscalerFacts:
        """Pick the facts out of a HorizontalPodAutoscaler."""
        told = {each["type"]: each for each in (body.get("status") or {}).get("conditions") or ()}
        active, limited = told.get("ScalingActive", {}), told.get("ScalingLimited", {})
        return cls(
            active=active.get("status", "Unknown"),
            reason=str(active.get("reason", "")),
            limited=limited.get("status") == "True" and limited.get("reason") == "TooManyReplicas",
        )


def aspect(facts: AutoscalerFacts | None, name: str, least: int | None) -> Aspect:
    """The condition Autoscaling of an agent; none where `least` is None, so that nothing scales it."""
    if least is None:
        return Aspect(c.AUTOSCALING, "Unknown", "", "")
    if facts is None or facts.active == "Unknown":
        return Aspect(c.AUTOSCALING, "Unknown", c.PENDING, "The autoscaler has not looked at the load yet.")
    if facts.active == "False":
        told = (
            f"The autoscaler does not know the load ({facts.reason}): the number of pods stays as it is. Check that "
            f"kubectl top pods works, which needs metrics-server; kubectl describe hpa {name} tells more."
        )
        return Aspect(c.AUTOSCALING, "False", facts.reason or c.PENDING, told)
    if facts.limited:
        told = "The load asks for more pods than spec.autoscaling.maxReplicas."
        return Aspect(c.AUTOSCALING, "True", c.AT_MAXIMUM, told)
    return Aspect(c.AUTOSCALING, "True", c.ACTIVE, "The number of pods follows the load.")


async def begin(kube: Kube, cache: Cache, key: Key, plan: Plan, uid: str) -> int:
    """Have a Deployment as many pods as it has, and at least the autoscaler's fewest, before that sets their number.

    A field that its only manager leaves out of an apply goes back to its default, which is one pod. So another
    manager holds it first. No HorizontalPodAutoscaler begins with no pods; and what is new in a spec takes a pod, even
    where KEDA may end it again: that is who writes new crons to the state.

    Returns:
        The number of writes.

    Raises:
        Conflict: the Deployment has changed meanwhile.
        ApiError: the API server refused.
    """
    entry = cache.get(key)
    record = entry.children.get((DEPLOYMENTS.kind, key.name)) if entry is not None else None
    if plan.least is None or entry is None or record is None or record.owner != uid:
        return 0
    digest = next(each.digest for each in plan.manifests if (each.resource, each.name) == (DEPLOYMENTS, key.name))
    least = plan.least if record.applied == digest else max(plan.least, 1)
    if record.applied == digest and entry.deployment is not None and entry.deployment.wanted >= least:
        return 0
    found = await kube.get(DEPLOYMENTS, key.namespace, key.name)
    number = max(found["spec"]["replicas"], least)
    if number == found["spec"]["replicas"] and not _held_by_us(found):
        return 0
    body = {
        "apiVersion": DEPLOYMENTS.api_version,
        "kind": DEPLOYMENTS.kind,
        "metadata": {"resourceVersion": found["metadata"]["resourceVersion"]},
        "spec": {"replicas": number},
    }
    await kube.apply(DEPLOYMENTS, key.namespace, key.name, canonical(body), manager=REPLICAS_MANAGER)
    return 1


def _held_by_us(deployment: Mapping[str, Any]) -> bool:
    """Whether the number of pods goes when our next apply leaves it out."""
    return any(
        "f:replicas" in ((each.get("fieldsV1") or {}).get("f:spec") or {})
        for each in deployment["metadata"].get("managedFields") or ()
        if (each["manager"], each["operation"]) == (FIELD_MANAGER, "Apply")
    )

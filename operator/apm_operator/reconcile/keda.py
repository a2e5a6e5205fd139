"""KEDA as an agent's autoscaler: it is asked by a ScaledObject, and scales the Deployment itself.

The ScaledObject is read by name and not watched: a cluster may get or lose KEDA while the operator runs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from apm_operator import conditions as c
from apm_operator.conditions import Aspect, Truth
from apm_operator.errors import Conflict, Forbidden, NotFound
from apm_operator.kinds import APPLIED_HASH, CONFIG_HASH, SCALED_OBJECTS, TRIGGER_AUTHENTICATIONS
from apm_operator.manifests import scaledobject
from apm_operator.reconcile.apply import check_owner, write
from apm_operator.reconcile.compare import covers

if TYPE_CHECKING:
    from apm_operator.kube import Kube
    from apm_operator.queue import Key
    from apm_operator.reconcile.facts import DeploymentFacts
    from apm_operator.reconcile.plan import Manifest

_PRESENT_SECONDS = 60.0
_ASKED = frozenset({c.KEDA_READY, c.KEDA_NOT_READY, c.KEDA_FORBIDDEN, c.ACTIVATOR_NOT_READY})
"""Reasons that are told once KEDA may have been asked."""
_SAID = 500
"""Characters of what KEDA says."""
_MISSING = (
    "spec.autoscaling.targetQueueDepth needs KEDA, which this cluster does not have: install it, or remove that target."
)
_WITHOUT_QUEUE = "Until then the number of pods follows the other targets, and there is at least one."
_AS_IT_IS = "Until then the number of pods stays as it is."
_NO_RIGHT = (
    "spec.autoscaling.targetQueueDepth needs KEDA's ScaledObjects, which the operator may not use: set the chart's "
    "autoscaling.keda to true. Until then the number of pods stays as it is."
)


class Keda:
    """Asks KEDA to scale agents, and finds what came of it."""

    def __init__(self, kube: Kube, clock: Callable[[], float] = time.time) -> None:
        self._kube = kube
        self._clock = clock
        self._present = False
        self._look_at = 0.0

    async def installed(self) -> bool:
        """Whether this cluster has KEDA; remembered for a minute.

        Raises:
            ApiError: the API server can't tell.
        """
        if self._clock() >= self._look_at:
            self._present = await self._kube.served(SCALED_OBJECTS)
            self._look_at = self._clock() + _PRESENT_SECONDS
        return self._present

    async def ask(self, key: Key, uid: str, manifests: Iterable[Manifest], first: Manifest | None = None) -> Aspect:
        """Have KEDA scale the agent, and tell how that stands.

        Args:
            key: the agent.
            uid: its own.
            manifests: what to ask by, the ScaledObject last.
            first: the ScaledObject for as long as the other one was never applied for this configuration.

        Raises:
            NameTaken: a ScaledObject or TriggerAuthentication of this name is somebody else's.
            ApiError: the API server refused.
        """
        try:
            answers = [await self._have(key, uid, manifest, first) for manifest in manifests]
        except Forbidden as error:
            return _aspect("False", c.KEDA_FORBIDDEN, f"{_NO_RIGHT} ({error})")
        return _told(answers[-1], key.name)

    async def withdraw(self, key: Key, uid: str, before: Iterable[Mapping[str, Any]]) -> int:
        """Ask no more, where the conditions of before say that KEDA was asked.

        Returns:
            The number of writes.

        Raises:
            ApiError: the API server refused.
        """
        if not any(each["type"] == c.AUTOSCALING and each["reason"] in _ASKED for each in before):
            return 0
        writes = 0
        for resource in (SCALED_OBJECTS, TRIGGER_AUTHENTICATIONS):
            with suppress(NotFound, Conflict, Forbidden):  # gone, another by now, or never made
                found = await self._kube.get(resource, key.namespace, key.name)
                check_owner(found, resource, key, uid)
                await self._kube.delete(resource, key.namespace, key.name, found["metadata"]["uid"])
                writes += 1
        return writes

    async def _have(self, key: Key, uid: str, manifest: Manifest, first: Manifest | None) -> dict[str, Any]:
        try:
            existing: dict[str, Any] | None = await self._kube.get(manifest.resource, key.namespace, manifest.name)
        except NotFound:
            existing = None
        wanted = manifest.wanted
        if first is not None and manifest.resource is first.resource and _configured(existing) != _configured(wanted):
            manifest, wanted = first, first.wanted
        if existing is not None:
            check_owner(existing, manifest.resource, key, uid)
            marked = (existing["metadata"].get("annotations") or {}).get(APPLIED_HASH) == manifest.digest
            if marked and covers(existing["spec"], wanted["spec"]):
                return existing
        return await write(self._kube, key, manifest, uid, known=existing is not None)


def missing(*, others: bool) -> Aspect:
    """The cluster has no KEDA; `others` tells whether there are targets that need none."""
    return _aspect("False", c.KEDA_MISSING, f"{_MISSING} {_WITHOUT_QUEUE if others else _AS_IT_IS}")


def _configured(body: Mapping[str, Any] | None) -> str:
    """The configuration of which a pod has been ready."""
    return str(((body or {}).get("metadata") or {}).get("labels", {}).get(CONFIG_HASH, ""))


def with_activator(aspect: Aspect, name: str, activator: DeploymentFacts | None) -> Aspect:
    """The same, unless all is well but for the Deployment `name` of the activator."""
    if aspect.truth != "True" or (activator is not None and activator.available):
        return aspect
    failed = activator is not None and (activator.stuck or bool(activator.failure))
    why = f" ({activator.failure})" if activator is not None and activator.failure else ""
    message = (
        f"KEDA scales the agent by its queue, but nothing takes requests while it has no pods: its activator is not "
        f"ready{why}. kubectl describe deployment {name} tells more."
    )
    return _aspect("False" if failed else "Unknown", c.ACTIVATOR_NOT_READY, message)


def _told(asked: Mapping[str, Any], name: str) -> Aspect:
    told = {each["type"]: each for each in (asked.get("status") or {}).get("conditions") or ()}
    ready = told.get("Ready", {})
    if ready.get("status") == "True":
        return _aspect("True", c.KEDA_READY, "KEDA scales the agent by its queue.")
    said = str(ready.get("message") or "nothing yet")[:_SAID]
    truth: Truth = "False" if ready.get("status") == "False" else "Unknown"
    triggers = asked["spec"].get("triggers") or ()
    also = " and the agent's activator (the chart's network.keda)" if any(map(_asks_activator, triggers)) else ""
    hint = f"kubectl describe scaledobject {name} tells more; KEDA's own pods must reach MongoDB{also}."
    return _aspect(truth, c.KEDA_NOT_READY, f"KEDA does not scale the agent yet, and says: {said}. {hint}")


def _asks_activator(trigger: Mapping[str, Any]) -> bool:
    return bool(trigger["type"] == scaledobject.REQUESTS)


def _aspect(truth: Truth, reason: str, message: str) -> Aspect:
    return Aspect(c.AUTOSCALING, truth, reason, message)

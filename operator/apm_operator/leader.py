"""Who of several replicas works: the holder of a Lease.

Not `kubernetes.aio.leaderelection`: it can't give the lease up at its end, so that each roll-out would wait for it
to expire, and nothing keeps its holder from writing after the lease has run out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import structlog

from apm_operator import metrics
from apm_operator.errors import ApiError, Conflict, LeadershipLost, NotFound, Rewound
from apm_operator.kinds import LEASES
from apm_operator.kube import Kube

LEASE_SECONDS = 10
"""After this long without a renewal the lease is free. A stand-by looks every second, so it leads within 15 s, also on
a node that is short of CPU."""
_DEADLINE_SECONDS = 8
"""The holder stops writing this long after its last renewal: before anybody else may start."""
_RENEW_SECONDS = 2.0
_POLL_SECONDS = 1.0

_log = structlog.stdlib.get_logger(__name__)


class Leader:
    """This process's claim to the lease."""

    def __init__(
        self, kube: Kube, namespace: str, name: str, identity: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._kube = kube
        self._namespace = namespace
        self._name = name
        self._identity = identity
        self._clock = clock
        self._renewed: float | None = None
        self._version = 0
        self._observed: tuple[str, str] = ("", "")
        self._observed_at = 0.0

    def remaining(self) -> float:
        """Seconds that a write which begins now may take; asked before each.

        Raises:
            LeadershipLost: the last renewal is too long ago; somebody else may lead now.
        """
        left = -1.0 if self._renewed is None else self._renewed + _DEADLINE_SECONDS - self._clock()
        if left <= 0:
            raise LeadershipLost("The lease was not renewed in time")
        return left

    async def acquire(self) -> None:
        """Wait until this process holds the lease."""
        told = ""
        while True:
            try:
                if await self._try():
                    break
                waiting = f"Stand-by: {self._observed[0]} leads"
            except ApiError as error:
                waiting = f"The lease can't be read or taken: {error}"
            if waiting != told:
                _log.info(waiting)
                told = waiting
            await asyncio.sleep(_POLL_SECONDS)
        metrics.LEADER.set(1)
        _log.info("leading", lease=f"{self._namespace}/{self._name}", identity=self._identity)

    async def keep(self) -> None:
        """Renew for as long as it works.

        Raises:
            LeadershipLost: another process took the lease, or it could not be renewed in time.
            Rewound: the lease is older than this process left it.
        """
        while True:
            await asyncio.sleep(_RENEW_SECONDS)
            try:
                async with asyncio.timeout(_RENEW_SECONDS * 2):
                    leads = await self._try()
                if not leads:
                    raise LeadershipLost(f"{self._observed[0]} has taken the lease")
            except (ApiError, TimeoutError) as error:
                _log.warning("The lease was not renewed", error=str(error) or "no answer")
            self.remaining()

    async def release(self) -> None:
        """Give the lease up, so that a stand-by need not wait for its end."""
        if self._renewed is None:
            return
        self._renewed = None
        metrics.LEADER.set(0)
        try:
            lease = await self._kube.get(LEASES, self._namespace, self._name)
            if lease["spec"].get("holderIdentity") == self._identity:
                lease["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
                await self._kube.replace(LEASES, self._namespace, self._name, lease, gated=False)
        except ApiError as error:
            _log.warning("The lease was not given up; it ends by itself", error=str(error))

    async def _try(self) -> bool:
        started = self._clock()
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        try:
            lease = await self._kube.get(LEASES, self._namespace, self._name)
        except NotFound:
            lease = self._new_lease()
            lease["spec"] = self._claim(now, {})
            try:
                await self._kube.create(LEASES, self._namespace, lease, gated=False)
            except Conflict:
                return False
            self._renewed = started
            return True
        if int(lease["metadata"]["resourceVersion"]) < self._version:
            raise Rewound(f"Lease {self._name}")
        spec: dict[str, Any] = lease.get("spec") or {}
        if not self._may_take(spec):
            return False
        lease["spec"] = self._claim(now, spec)
        try:
            answer = await self._kube.replace(LEASES, self._namespace, self._name, lease, gated=False)
        except Conflict:
            return False
        self._version = int(answer["metadata"]["resourceVersion"])
        self._renewed = started
        return True

    def _may_take(self, spec: dict[str, Any]) -> bool:
        """Whether the lease is ours, free or expired by this process's own clock: clocks of machines differ."""
        holder = spec.get("holderIdentity") or ""
        seen = (holder, str(spec.get("renewTime")))
        if seen != self._observed:
            self._observed, self._observed_at = seen, self._clock()
        if holder in ("", self._identity):
            return True
        return self._clock() - self._observed_at > float(spec.get("leaseDurationSeconds") or LEASE_SECONDS)

    def _claim(self, now: str, before: dict[str, Any]) -> dict[str, Any]:
        mine = before.get("holderIdentity") == self._identity
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": LEASE_SECONDS,
            "renewTime": now,
            "acquireTime": before.get("acquireTime", now) if mine else now,
            "leaseTransitions": int(before.get("leaseTransitions") or 0) + (0 if mine else 1),
        }

    def _new_lease(self) -> dict[str, Any]:
        return {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {"name": self._name, "namespace": self._namespace},
        }

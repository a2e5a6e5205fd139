"""Runs the passes: workers take keys from the queue; what a pass says decides when the next one is due."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Protocol

import structlog

from apm_operator import metrics
from apm_operator.errors import ApiError, LeadershipLost, Rewound
from apm_operator.kinds import OWNERS, SELECTOR, WATCHED, Resource
from apm_operator.reconcile.cache import key_of
from apm_operator.reconcile.outcome import Outcome

if TYPE_CHECKING:
    from apm_operator.kube import Kube
    from apm_operator.queue import Key, WorkQueue
    from apm_operator.reconcile.cache import Cache

_PASS_SECONDS = 120.0
_COALESCE_SECONDS = 0.05
"""A roll-out changes its Deployment and pods in bursts: one pass, and one status, for a burst."""
_RETRY_LISTING_SECONDS = 2.0

_log = structlog.stdlib.get_logger(__name__)


class Reconciler(Protocol):
    """Knows how to make one kind of object what its spec says."""

    async def reconcile(self, key: Key, failures: int = 0) -> Outcome:
        """Make one pass; `failures` is how many have failed in a row."""


class Controller:
    """Keeps every object as its spec says.

    Attributes:
        synced: whether everything has been listed once.
    """

    def __init__(
        self,
        kube: Kube,
        cache: Cache,
        queue: WorkQueue,
        reconcilers: Mapping[str, Reconciler],
        *,
        namespaces: Iterable[str],
        resync: float,
        concurrency: int,
    ) -> None:
        self._kube = kube
        self._cache = cache
        self._queue = queue
        self._reconcilers = reconcilers
        self._namespaces: tuple[str | None, ...] = tuple(namespaces) or (None,)
        self._resync = resync
        self._concurrency = concurrency
        self.synced = False

    def wake(self, key: Key) -> None:
        """Have a pass made at once."""
        self._queue.add(key)

    def wake_soon(self, key: Key) -> None:
        """Have a pass made when a burst of changes is over."""
        self._queue.add_after(key, _COALESCE_SECONDS)

    async def run(self) -> None:
        """Work for ever, on a cache that is filled.

        Raises:
            LeadershipLost: this process must not write any more.
            Rewound: what it knows is of no use any more.
        """
        for key in self._cache:
            self._queue.add(key)
        async with asyncio.TaskGroup() as group:
            for _ in range(self._concurrency):
                group.create_task(self._work())
            group.create_task(self._compare_for_ever())

    async def _work(self) -> None:
        while True:
            key, later = await self._queue.get(), False
            try:
                later = await self._one(key)
            finally:
                self._queue.done(key, later=later)

    async def _one(self, key: Key) -> bool:
        entry = self._cache.get(key)
        uid = entry.agent.uid if entry is not None and entry.agent is not None else ""
        with structlog.contextvars.bound_contextvars(kind=key.kind, namespace=key.namespace, name=key.name, uid=uid):
            return await self._pass(key)

    async def _pass(self, key: Key) -> bool:
        """Make one pass; whether it left something that can wait."""
        started = time.perf_counter()
        try:
            async with asyncio.timeout(_PASS_SECONDS):
                outcome = await self._reconcilers[key.kind].reconcile(key, self._queue.failures(key))
        except LeadershipLost:
            raise
        except Exception:  # noqa: BLE001  a fault of ours in one object must not stop the others
            _log.exception("A pass broke")
            outcome = Outcome("error", failed=True)
        metrics.RECONCILES.labels(outcome.result).inc()
        metrics.RECONCILE_SECONDS.observe(time.perf_counter() - started)
        if outcome.failed:
            self._queue.retry(key, outcome.at_least)
            return False
        metrics.LAST_SUCCESS.set_to_current_time()
        self._queue.succeeded(key)
        if outcome.result == "gone" and self._cache.get(key) is None:
            self._queue.forget(key)
            return False
        resync = self._resync * random.uniform(0.9, 1.1)  # noqa: S311  spreads load, hides nothing
        self._queue.add_after(key, resync if outcome.again is None else min(outcome.again, resync))
        return outcome.untold

    async def fill(self) -> None:
        """List everything before the first pass: a pass that does not know the children would write them all."""
        for resource in WATCHED:
            while True:
                try:
                    await self._compare(resource, count=False)
                    break
                except ApiError as error:
                    _log.warning("Listing failed; it is tried again", resource=resource.plural, error=str(error))
                    await asyncio.sleep(_RETRY_LISTING_SECONDS)
        self.synced = True

    async def _compare_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._resync)
            self._cache.forget_deleted()
            for resource in WATCHED:
                try:
                    await self._compare(resource, count=True)
                except ApiError as error:
                    _log.warning("Listing failed", resource=resource.plural, error=str(error))

    async def _compare(self, resource: Resource, *, count: bool) -> None:
        """Compare the cache with a list and take in what differs.

        A watch that is deaf, or that skipped deletions while it was being reopened, shows here.

        Raises:
            Rewound: an object is older in the list than it was known to be before.
        """
        before = self._cache.known(resource)
        listed: set[tuple[Key, str]] = set()
        for namespace in self._namespaces:
            async for page in self._kube.pages(resource, namespace, "" if resource in OWNERS else SELECTOR):
                for item in page:
                    key = key_of(resource, item)
                    if key is None:
                        continue
                    item["kind"] = resource.kind  # lists leave it out
                    at = key, item["metadata"]["name"]
                    listed.add(at)
                    if int(item["metadata"]["resourceVersion"]) < int(before.get(at, 0)):
                        raise Rewound(f"{resource.kind} {key.namespace}/{at[1]}")
                    self._take(item, resource, count=count)
        for (key, name), version in before.items():
            if (key, name) not in listed:
                self._missed(resource, self._cache.gone(resource, key, name, version))

    def _take(self, item: dict[str, object], resource: Resource, *, count: bool) -> None:
        keys = self._cache.observe(item, deleted=False)
        if count:
            self._missed(resource, keys)

    def _missed(self, resource: Resource, keys: Iterable[Key]) -> None:
        """A change that concerns these agents was not told by the watch."""
        if keys := tuple(keys):
            metrics.WATCH_MISSED.labels(resource.plural).inc()
        for key in keys:
            self.wake_soon(key)

    def export(self) -> None:
        """Write what is not counted as it happens to the metrics."""
        metrics.QUEUE_DEPTH.set(len(self._queue))
        metrics.QUEUE_AGE.set(self._queue.oldest())
        metrics.ACTIVE.set(self._queue.active())

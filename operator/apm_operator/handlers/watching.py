"""kopf's part: it lists and watches, and nothing else. Our session hands what that brings to the cache."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import aiohttp
import kopf
from kopf._core.engines.peering import Identity

from apm_operator.kinds import BY_KIND, FIELD_MANAGER, GROUP, OWNERS, SELECTOR, WATCHED
from apm_operator.kube import PAGE
from apm_operator.reconcile.cache import key_of

if TYPE_CHECKING:
    from apm_operator.queue import Key
    from apm_operator.reconcile.cache import Cache


class _Backoffs:
    """Pauses between attempts of a watch or list, without an end: a watch that gives up would end the operator."""

    def __iter__(self) -> Iterator[float]:
        yield from (0.2, 0.5, 1.0)
        while True:
            yield 2.0


class _NoDiffs(kopf.DiffBaseStorage):
    """No object carries a last-handled configuration, and none is computed: no handler asks for differences."""

    def build(self, **_: Any) -> Any:
        return {}

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        return None


class _NoProgress(kopf.ProgressStorage):
    """No object carries kopf's progress."""

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        return None

    def purge(self, **_: Any) -> None:
        return None

    def touch(self, **_: Any) -> None:
        return None

    def clear(self, *, essence: Any) -> Any:
        return essence


def observer(
    cache: Cache, *, wake: Callable[[Key], None], wake_soon: Callable[[Key], None]
) -> Callable[[Mapping[str, Any]], None]:
    """What takes in a watch event, or an object of a list.

    Args:
        cache: takes in what the watches tell.
        wake: told of an agent, policy, backup or restore that was changed itself.
        wake_soon: told of one whose children, pods or callers have changed.
    """

    def observe(event: Mapping[str, Any]) -> None:
        body = event["object"]
        resource = BY_KIND[body["kind"]]
        changed = key_of(resource, body) if resource in OWNERS else None
        for key in cache.observe(body, deleted=event["type"] == "DELETED"):
            (wake if key == changed else wake_soon)(key)

    return observe


def registry(*, server: str, session: Callable[[], aiohttp.ClientSession]) -> kopf.OperatorRegistry:
    """What kopf is to list and watch, and how it logs in.

    Args:
        server: address of the API server.
        session: makes a session that signs its requests and takes objects out of the answers; kopf closes it.
    """
    handlers = kopf.OperatorRegistry()

    async def never(**_: Any) -> None:
        """There for kopf, which watches what has a handler."""

    for resource in WATCHED:
        kopf.on.event(resource.group, resource.version, resource.plural, id=resource.plural, registry=handlers)(never)

    async def login(**_: Any) -> kopf.AiohttpSession:
        return kopf.AiohttpSession(server=server, aiohttp_session=session())

    kopf.on.login(id="login", registry=handlers)(login)
    return handlers


def settings() -> kopf.OperatorSettings:
    """How kopf is to behave."""
    chosen = kopf.OperatorSettings()
    chosen.posting.enabled = False
    chosen.scanning.disabled = True
    chosen.peering.standalone = True
    chosen.process.ultimate_exiting_timeout = 20
    chosen.queueing.exit_timeout = 0.5
    chosen.networking.request_timeout = 30
    chosen.networking.connect_timeout = 5
    chosen.networking.error_backoffs = _Backoffs()
    chosen.watching.chunk_size = PAGE
    chosen.watching.server_timeout = 600
    chosen.watching.client_timeout = 620
    chosen.watching.reconnect_backoff = 0.2
    chosen.persistence.finalizer = f"{GROUP}/{FIELD_MANAGER}"
    chosen.persistence.diffbase_storage = _NoDiffs()
    chosen.persistence.progress_storage = _NoProgress()
    for resource in WATCHED:
        if resource not in OWNERS:
            chosen.watching.label_selectors[resource.group, resource.version, resource.plural] = SELECTOR
    return chosen


async def watch(handlers: kopf.OperatorRegistry, namespaces: Collection[str]) -> None:
    """Watch until a signal ends the process or a watch can't go on.

    Raises:
        Exception: whatever ended kopf other than a signal.
    """
    await kopf.operator(
        registry=handlers,
        settings=settings(),
        clusterwide=not namespaces,
        namespaces=tuple(namespaces),
        standalone=True,
        # By default kopf looks its user's name up, and a pod's numeric user has none.
        identity=Identity(FIELD_MANAGER),
    )

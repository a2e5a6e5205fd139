"""Makes the children what the plan wants, with as few writes as that takes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from apm_operator.errors import Conflict, Forbidden, Invalid, NotFound, OperatorError
from apm_operator.kinds import BY_KIND, CONFIG_MAPS, ROLE_BINDINGS, Resource
from apm_operator.manifests import activator
from apm_operator.manifests.agent import digest, with_metadata
from apm_operator.reconcile.compare import covers

if TYPE_CHECKING:
    from apm_operator.kube import Kube
    from apm_operator.queue import Key
    from apm_operator.reconcile.cache import Cache
    from apm_operator.reconcile.entry import Entry
    from apm_operator.reconcile.plan import Manifest
    from apm_operator.reconcile.records import ChildRecord


_log = structlog.stdlib.get_logger(__name__)


class _Planned(Protocol):
    @property
    def manifests(self) -> tuple[Manifest, ...]:
        """The children that are wanted."""


class NameTaken(OperatorError):
    """An object that belongs to somebody else has the name of a child."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"{kind} {name}")
        self.kind = kind
        self.name = name


class OwnerLeaving(NameTaken):
    """A child of an earlier resource of this name has not been garbage-collected yet."""


async def apply(kube: Kube, cache: Cache, key: Key, manifests: Iterable[Manifest], uid: str) -> int:
    """Apply the manifests that differ from what is there.

    Returns:
        The number of writes.

    Raises:
        NameTaken: a child's name is in use by an object that is not this agent's.
        OwnerLeaving: try again shortly.
        ApiError: the API server refused.
    """
    writes = 0
    for manifest in manifests:
        entry = cache.get(key)
        record = entry.children.get((manifest.resource.kind, manifest.name)) if entry else None
        if record is not None and record.owner not in (uid, ""):
            raise OwnerLeaving(manifest.resource.kind, manifest.name)
        if record is None or not _as_wanted(record, manifest):
            await _apply_one(kube, cache, key, manifest, uid, known=record is not None)
            writes += 1
    return writes


def _as_wanted(record: ChildRecord, manifest: Manifest) -> bool:
    if record.matches:
        return record.matches == manifest.digest
    if record.applied == manifest.digest and covers(json.loads(record.content), _compared(manifest)):
        record.matches = manifest.digest
        record.settled = digest(record.content)
        record.content = b""
        return True
    return False


def _compared(manifest: Manifest) -> dict[str, object]:
    body = json.loads(manifest.body)
    metadata = {name: body["metadata"][name] for name in ("labels", "annotations", "ownerReferences")}
    rest = {name: value for name, value in body.items() if name not in ("apiVersion", "kind", "metadata")}
    return rest | {"metadata": metadata}


async def _apply_one(kube: Kube, cache: Cache, key: Key, manifest: Manifest, uid: str, *, known: bool) -> None:
    with cache.echoes.writing():
        answer = await write(kube, key, manifest, uid, known=known)
        cache.record_apply(key, manifest.resource, answer, manifest.digest)


async def write(kube: Kube, key: Key, manifest: Manifest, uid: str, *, known: bool) -> dict[str, Any]:
    """Apply one manifest; fields of other writers are taken over only in an object that is this agent's.

    Args:
        kube: the Kubernetes API.
        key: the agent.
        manifest: the object.
        uid: the agent's.
        known: whether the object is known to be there and to be the agent's.

    Raises:
        NameTaken: see `apply`.
        OwnerLeaving: see `apply`.
    """
    answer = None if known else await _make(kube, key, manifest, uid)
    return answer or await _change(kube, key, manifest)


async def _make(kube: Kube, key: Key, manifest: Manifest, uid: str) -> dict[str, Any] | None:
    """Make a child; None where it is there already and this agent's."""
    resource, name = manifest.resource, manifest.name
    # No object has this version, so that one of this name is always a Conflict. Otherwise one that shares no field
    # with the child, as a ServiceAccount does, would be taken over without a word.
    body = with_metadata(manifest.body, resourceVersion="1")
    try:
        return await kube.apply(resource, key.namespace, name, body, force=False)
    except Conflict as error:
        try:
            existing = await kube.get(resource, key.namespace, name)
        except NotFound:
            raise error from None
        check_owner(existing, resource, key, uid)
        return None


def check_owner(existing: Mapping[str, Any], resource: Resource, key: Key, uid: str) -> None:
    """Find that an object belongs to the agent.

    Raises:
        NameTaken: it does not.
        OwnerLeaving: it belonged to an earlier one of this name.
    """
    metadata = existing["metadata"]
    owners = metadata.get("ownerReferences") or ()
    if any(owner["uid"] == uid for owner in owners):
        return
    if any(owner["kind"] == key.kind and owner["name"] == key.name for owner in owners):
        raise OwnerLeaving(resource.kind, metadata["name"])
    raise NameTaken(resource.kind, metadata["name"])


async def _change(kube: Kube, key: Key, manifest: Manifest) -> dict[str, Any]:
    resource, name = manifest.resource, manifest.name
    try:
        return await kube.apply(resource, key.namespace, name, manifest.body, force=True)
    except Invalid:
        if resource not in (CONFIG_MAPS, ROLE_BINDINGS):
            raise
        # An immutable config, or a binding to another role, which is immutable too: only a new one can be right.
        existing = await kube.get(resource, key.namespace, name)
        await kube.delete(resource, key.namespace, name, existing["metadata"]["uid"])
        return await kube.apply(resource, key.namespace, name, manifest.body, force=True)


async def prune(kube: Kube, key: Key, entry: Entry, plan: _Planned, uid: str) -> int:
    """Delete the children that the plan no longer wants.

    The config of an earlier version stays while its pods live or may come back: until the roll-out is over.

    Returns:
        The number of writes.
    """
    wanted = {(manifest.resource.kind, manifest.name) for manifest in plan.manifests}
    used = {f"{key.name}-{pod.config}" for pod in entry.pods.values()}
    settled = entry.deployment is not None and entry.deployment.done
    writes = 0
    for (kind, name), record in tuple(entry.children.items()):
        if (kind, name) in wanted or record.owner != uid:
            continue
        if kind == CONFIG_MAPS.kind and (name in used or not settled):
            continue
        try:
            await kube.delete(BY_KIND[kind], key.namespace, name, record.uid)
        except (NotFound, Conflict):
            continue  # gone already, or another object by now: the watch tells
        except Forbidden:
            # The right comes with the chart's autoscaling.keda, and what is left does no harm.
            if name not in (activator.name(key.name), activator.awake(key.name)):
                raise
            _log.warning("What is left of an activator may not be deleted", child=kind, called=name)
            continue
        writes += 1
    return writes

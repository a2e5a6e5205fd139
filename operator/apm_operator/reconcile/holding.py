"""The finalizer on what must not be gone before its files, or its pods, are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from apm_operator.kinds import BY_KIND, FIELD_MANAGER, FINALIZER
from apm_operator.manifests.agent import canonical

if TYPE_CHECKING:
    from apm_operator.kube import Kube
    from apm_operator.queue import Key
    from apm_operator.reconcile.entry import Entry


async def hold(kube: Kube, key: Key, entry: Entry, *, wanted: bool) -> int:
    """Have the finalizer on an object, or off.

    Returns:
        The number of writes.

    Raises:
        ApiError: the API server refused.
    """
    record = entry.agent
    if record is None or held(entry) == wanted or (wanted and record.deleting):
        return 0
    resource = BY_KIND[key.kind]
    body = {
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {
            "name": key.name,
            "namespace": key.namespace,
            "uid": record.uid,
            "finalizers": [FINALIZER] if wanted else [],
        },
    }
    # A manager of its own: it names nothing but the finalizer.
    manager = f"{FIELD_MANAGER}-finalizer"
    answer = await kube.apply(resource, key.namespace, key.name, canonical(body), manager=manager)
    record.finalizers = tuple(answer["metadata"].get("finalizers") or ())
    return 1


def held(entry: Entry) -> bool:
    """Whether an object has the finalizer."""
    return entry.agent is not None and FINALIZER in entry.agent.finalizers

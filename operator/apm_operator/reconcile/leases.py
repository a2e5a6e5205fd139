"""The Leases by which Jobs of backups and restores keep out of each other's way, one for a database, one for a storage.

The operator makes them, since the Jobs may only use those that they are named. A Lease belongs to everybody whose Jobs
use it, and goes with the last of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from apm_operator.backup.report import Progress
from apm_operator.errors import NotFound
from apm_operator.kinds import BY_KIND, FIELD_MANAGER, GROUP, LEASES, MANAGED_BY_LABEL
from apm_operator.manifests.agent import canonical

if TYPE_CHECKING:
    from apm_operator.kube import Kube
    from apm_operator.queue import Key
    from apm_operator.reconcile.endpoints import Endpoint

PROGRESS = f"{GROUP}/progress"


def of_database(endpoints: Iterable[Endpoint] | None, namespace: str, secret: str, key: str) -> str:
    """Name of the Lease of a MongoDB.

    Args:
        endpoints: its hosts; None where the operator can't read them, so that the Secret's own name has to do.
        namespace: where the Secret lies.
        secret: that holds the connection string.
        key: in the Secret.
    """
    if endpoints:
        hosts = sorted({f"{each.host.lower()}:{each.port}" for each in endpoints})
        return f"apm-backup-db-{_digest(','.join(hosts))}"
    return f"apm-backup-db-{_digest(f'{namespace}/{secret}/{key}')}"


def of_storage(location: Mapping[str, Any]) -> str:
    """Name of the Lease of a place in a storage: the same place, the same name."""
    return f"apm-backup-store-{_digest(canonical(location).decode())}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:10]


async def ensure(kube: Kube, key: Key, uid: str, names: Iterable[str]) -> int:
    """Have these Leases be there and belong to an object, beside its other owners.

    Returns:
        The number of writes.

    Raises:
        ApiError: the API server refused.
    """
    writes = 0
    for name in sorted(set(names)):
        try:
            found = await kube.get(LEASES, key.namespace, name)
        except NotFound:
            found = {}
        owners = found.get("metadata", {}).get("ownerReferences") or ()
        if any(owner["uid"] == uid for owner in owners):
            continue
        body = {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": {
                "name": name,
                "namespace": key.namespace,
                "labels": {MANAGED_BY_LABEL: FIELD_MANAGER},
                "ownerReferences": [
                    {"apiVersion": BY_KIND[key.kind].api_version, "kind": key.kind, "name": key.name, "uid": uid}
                ],
            },
        }
        # A field manager of its own: what another owner has applied stays.
        await kube.apply(LEASES, key.namespace, name, canonical(body), manager=f"{FIELD_MANAGER}-{uid}")
        writes += 1
    return writes


async def progress(kube: Kube, namespace: str, names: Iterable[str], pods: Container[str]) -> Progress | None:
    """How far a Job is, as one of its pods has written to a Lease that it holds; None where it has not."""
    for name in sorted(set(names)):
        try:
            found = await kube.get(LEASES, namespace, name)
        except NotFound:
            continue
        text = (found["metadata"].get("annotations") or {}).get(PROGRESS)
        if text and (told := _read(text)) is not None and told.holder in pods:
            return told
    return None


def _read(text: str) -> Progress | None:
    try:
        return Progress.model_validate_json(text)
    except ValueError:
        return None

"""Backups in a storage, without any dump."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from apm_operator.backup import layout
from apm_operator.backup.manifest import Manifest, Namespace, Verdict

if TYPE_CHECKING:
    from apm_operator.backup.storage.base import Storage

NOW = datetime(2026, 3, 29, 2, 0, tzinfo=UTC)


def manifest(name: str, *, days: float = 0.0, data: bytes = b"data", now: datetime = NOW) -> Manifest:
    """Of a backup that was made `days` before `now`."""
    finished = now - timedelta(days=days)
    return Manifest(
        name=name,
        namespace="shop",
        policy="nightly",
        started=finished - timedelta(minutes=1),
        finished=finished,
        server_version="7.0.42",
        tool_version="100.18.0",
        oplog=False,
        data=layout.data_key(name, encrypted=False),
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        archive_size=2 * len(data),
        namespaces=(Namespace(database="apm", collection="threads", documents=3, size=100, crc64="0" * 16),),
    )


def verdict(name: str, *, restored: bool = True, good: bool = True) -> Verdict:
    """On a backup."""
    return Verdict(name=name, at=NOW, restored=restored, good=good, reason="" if good else "RestoreDiffers")


def store(storage: Storage, facts: Manifest, judged: Verdict | None = None, data: bytes = b"data") -> None:
    """As a Job does."""
    sink = storage.create(facts.data)
    sink.write(data)
    sink.finish()
    storage.publish(facts.data)
    storage.put(layout.manifest_key(facts.name), facts.to_json().encode())
    if judged is not None:
        storage.put(layout.verdict_key(facts.name), judged.to_json().encode())

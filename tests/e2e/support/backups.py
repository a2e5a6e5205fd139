"""BackupPolicies, Backups and Restores of the tests."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pymongo import MongoClient
from pymongo.database import Database

from cluster import mongodb
from cluster.installation import AGENTS_NAMESPACE
from e2e.support.manifests import API_VERSION, MONGODB_SECRET
from e2e.support.space import Space
from e2e.support.waiting import until

_JOB = {"resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}}}
_ENDED = {"Completed", "Failed"}


@contextmanager
def own_database(space: Space) -> Iterator[Database[dict[str, Any]]]:
    """A database of the test's own, removed at its end with those whose names begin with its name."""
    with mongodb.reached(space.cluster.cluster, AGENTS_NAMESPACE) as uri:
        client: MongoClient[dict[str, Any]] = MongoClient(uri)
        with client:
            name = f"drill_{secrets.token_hex(4)}"
            try:
                yield client[name]
            finally:
                for each in client.list_database_names():
                    if each.startswith(name):
                        client.drop_database(each)


def policy(name: str, *databases: str, **spec: Any) -> dict[str, Any]:
    """A policy that keeps backups of databases in a claim of its own; `spec` adds fields or replaces them."""
    fields = {
        "source": {"mongodb": {"uriSecretRef": {"name": MONGODB_SECRET, "key": "uri"}}, "databases": list(databases)},
        "storage": {"persistentVolumeClaim": {"size": "1Gi"}},
        "job": _JOB,
        **spec,
    }
    return _object("BackupPolicy", name, fields)


def backup(name: str, policy: str, **spec: Any) -> dict[str, Any]:
    """A Backup by hand."""
    return _object("Backup", name, {"policyRef": {"name": policy}, **spec})


def restore(name: str, backup: str, **spec: Any) -> dict[str, Any]:
    """A Restore of a Backup."""
    return _object("Restore", name, {"from": {"backupRef": {"name": backup}}, "job": _JOB, **spec})


def until_phase(space: Space, kind: str, name: str, phase: str, *, seconds: float = 120) -> dict[str, Any]:
    """Wait until a Backup or Restore has ended, and return its status.

    Raises:
        AssertionError: it ended otherwise, or not in time.
    """
    status = until(
        f"{kind} {name} ends",
        lambda: space.get(kind, name).get("status", {}),
        lambda seen: seen.get("phase") in _ENDED,
        seconds=seconds,
    )
    assert status["phase"] == phase, status
    return status


def _object(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}

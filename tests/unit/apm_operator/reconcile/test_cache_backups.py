"""Policies, backups and restores in the cache, beside agents."""

from typing import Any

from apm_operator.kinds import BACKUP_POLICIES, BACKUPS, JOBS, PODS
from apm_operator.queue import Key
from apm_operator.reconcile.cache import Cache

POLICY = Key("shop", "nightly", "BackupPolicy")
BACKUP = Key("shop", "nightly-backup-1", "Backup")
LABELS = {"apm.valeo-neuroerp.com/backup-policy": "nightly", "apm.valeo-neuroerp.com/job": "backup"}


def policy(version: str = "1", **metadata: Any) -> dict[str, Any]:
    named = {"name": "nightly", "namespace": "shop", "uid": "p", "generation": 1, "resourceVersion": version}
    return {"kind": "BackupPolicy", "metadata": named | metadata, "spec": {"schedule": "0 2 * * *"}}


def job(version: str = "2", **status: Any) -> dict[str, Any]:
    metadata = {
        "name": "nightly-backup-1",
        "namespace": "shop",
        "uid": "j",
        "resourceVersion": version,
        "labels": LABELS,
        "creationTimestamp": "2026-01-01T02:00:03Z",
        "annotations": {"batch.kubernetes.io/cronjob-scheduled-timestamp": "2026-01-01T02:00:00Z"},
        "ownerReferences": [{"kind": "CronJob", "name": "nightly-backup", "uid": "c", "controller": True}],
    }
    return {"kind": "Job", "metadata": metadata, "status": status}


def pod(version: str = "3", message: str = "") -> dict[str, Any]:
    ended = {"terminated": {"reason": "Completed", "exitCode": 0, "message": message}} if message else {}
    metadata = {
        "name": "nightly-backup-1-x",
        "namespace": "shop",
        "uid": "x",
        "resourceVersion": version,
        "labels": LABELS | {"batch.kubernetes.io/job-name": "nightly-backup-1"},
        "ownerReferences": [{"kind": "Job", "name": "nightly-backup-1", "uid": "j", "controller": True}],
    }
    return {"kind": "Pod", "metadata": metadata, "status": {"containerStatuses": [{"name": "backup", "state": ended}]}}


def test_a_job_concerns_its_policy_and_its_backup():
    cache = Cache()
    assert cache.observe(policy(), deleted=False) == (POLICY,)
    assert cache.observe(job(), deleted=False) == (POLICY, BACKUP)
    assert cache.observe(job("4"), deleted=False) == ()
    assert cache.observe(pod(), deleted=False) == (POLICY, BACKUP)
    assert cache.observe(pod("5", message="{}"), deleted=False) == (POLICY, BACKUP)
    entry = cache.get(POLICY)
    assert entry is not None
    assert entry.jobs["nightly-backup-1"].slot == 1767232800.0
    assert entry.runs["nightly-backup-1-x"].report == "{}"
    assert cache.known(JOBS) == {(POLICY, "nightly-backup-1"): "4"}
    assert cache.known(PODS) == {(POLICY, "nightly-backup-1-x"): "5"}


def test_what_no_watch_told_of_is_missed():
    cache = Cache()
    cache.observe(policy(), deleted=False)
    cache.observe(job(), deleted=False)
    assert cache.gone(JOBS, POLICY, "nightly-backup-1", "2") == (POLICY, BACKUP)
    assert cache.gone(BACKUPS, POLICY, "nightly", "1") == ()
    assert cache.gone(BACKUP_POLICIES, POLICY, "nightly", "1") == (POLICY,)
    assert list(cache) == []


def test_an_agent_of_the_same_name_is_another_object():
    cache = Cache()
    cache.observe(policy(), deleted=False)
    assert cache.get(Key("shop", "nightly")) is None


def test_the_beginning_of_its_deletion_is_told():
    cache = Cache()
    cache.observe(policy(), deleted=False)
    assert cache.observe(policy("2", deletionTimestamp="2026-01-01T00:00:00Z"), deleted=False) == (POLICY,)

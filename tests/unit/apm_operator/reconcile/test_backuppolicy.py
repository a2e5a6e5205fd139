"""Passes over policies and their backups."""

from datetime import timedelta

import pytest

from apm_operator import metrics
from apm_operator.kinds import JOB_LABEL, POLICY_LABEL
from apm_operator.reconcile import backupmetrics
from apm_operator.reconcile.schedule import run_name
from unit.apm_operator.vault import POLICY, Vault, report

FIRST = "nightly-29627160"  # 2026-05-01 02:00


@pytest.fixture
def vault() -> Vault:
    return Vault("2026-04-30T12:00")


async def ready(vault: Vault) -> None:
    vault.policy()
    await vault.reconcile()
    assert vault.reason() == "Ready"


async def test_a_policy_is_made_once_and_a_restart_writes_nothing(vault):
    await ready(vault)
    assert vault.kube.kinds() == {
        "CronJob": 1,
        "ServiceAccount": 1,
        "Role": 1,
        "RoleBinding": 1,
        "NetworkPolicy": 1,
        "Lease": 2,
        "PersistentVolumeClaim": 1,
        "BackupPolicy": 1,
        "Secret": 1,
        "Event": 1,
    }
    assert vault.status()["nextScheduleTime"] == "2026-05-01T02:00:00Z"
    vault.restart()
    assert (await vault.reconcile()).result == "unchanged"
    assert vault.kube.writes() == {}


async def test_the_claim_outlives_the_policy(vault):
    await ready(vault)
    assert "ownerReferences" not in vault.get("PersistentVolumeClaim", "nightly-backups")["metadata"]


async def test_a_run_is_adopted_and_told(vault):
    await ready(vault)
    vault.at("2026-05-01T02:00:05")
    vault.job(FIRST)
    await vault.reconcile()
    assert vault.get("Backup", FIRST)["spec"] == {"policyRef": {"name": "nightly"}}
    assert vault.status()["lastScheduleTime"] == "2026-05-01T02:00:00Z"
    assert vault.status()["nextScheduleTime"] == "2026-05-02T02:00:00Z"
    await vault.reconcile("Backup", FIRST)
    assert vault.reason("Backup", FIRST) == "Pending"
    vault.reported(FIRST, report(FIRST))
    await vault.reconcile("Backup", FIRST)
    assert vault.reason("Backup", FIRST) == "Completed"
    assert POLICY in vault.woken
    await vault.reconcile()
    assert vault.status()["lastBackup"] == FIRST
    vault.restart()
    await vault.reconcile()
    await vault.reconcile("Backup", FIRST)
    assert vault.kube.writes() == {}


async def test_a_backup_that_was_deleted_does_not_come_back(vault):
    await ready(vault)
    vault.at("2026-05-01T02:00:05")
    vault.job(FIRST)
    await vault.reconcile()
    vault.delete("Backup", FIRST)
    vault.restart()
    await vault.reconcile()
    assert not vault.get("Backup", FIRST)


async def test_a_job_of_somebody_else_is_not_adopted(vault):
    await ready(vault)
    vault.job(FIRST, ownerReferences=[])
    await vault.reconcile()
    assert not vault.get("Backup", FIRST)


async def test_a_missed_run_is_counted_and_made_up_for_once(vault):
    await ready(vault)
    vault.at("2026-05-01T02:30")
    vault.restart()
    await vault.reconcile()
    assert "missed" not in vault.status()
    vault.at("2026-05-03T09:00")
    vault.restart()
    await vault.reconcile()
    name = run_name("nightly", vault.now.replace(hour=2))
    assert vault.status()["missed"] == {"count": 3, "last": "2026-05-03T02:00:00Z"}
    assert vault.get("Backup", name)
    assert vault.events().count("RunMissed") == 1
    for _ in range(2):
        vault.restart()
        await vault.reconcile()
    assert vault.status()["missed"]["count"] == 3
    assert vault.kube.kinds()["Backup"] == 1
    await vault.reconcile("Backup", name)
    assert vault.get("Job", name)["metadata"]["ownerReferences"][0]["kind"] == "Backup"


async def test_the_night_without_two_in_berlin_is_made_up_for_once():
    vault = Vault("2026-03-28T12:00")
    vault.policy(timeZone="Europe/Berlin")
    await vault.reconcile()
    assert vault.status()["nextScheduleTime"] == "2026-03-29T01:00:00Z"
    vault.at("2026-03-29T02:02")
    await vault.reconcile()
    assert vault.status()["missed"] == {"count": 1, "last": "2026-03-29T01:00:00Z"}
    vault.at("2026-03-30T00:00:05")
    vault.job(run_name("nightly", vault.now))
    await vault.reconcile()
    assert vault.status()["missed"]["count"] == 1
    assert vault.status()["nextScheduleTime"] == "2026-03-31T00:00:00Z"


async def test_a_pause_is_no_missed_run(vault):
    await ready(vault)
    vault.policy(suspend=True)
    await vault.reconcile()
    assert vault.reason() == "Suspended"
    assert "nextScheduleTime" not in vault.status()
    assert vault.get("CronJob")["spec"]["suspend"] is True
    vault.at("2026-05-09T09:00")
    vault.policy()
    await vault.reconcile()
    assert "missed" not in vault.status()
    assert vault.status()["nextScheduleTime"] == "2026-05-10T02:00:00Z"


async def test_a_schedule_that_never_comes_is_told_and_changes_nothing(vault):
    await ready(vault)
    vault.policy(schedule="0 2 31 2 *")
    assert (await vault.reconcile()).result == "invalid"
    assert vault.reason() == "SpecInvalid"
    assert vault.get("CronJob")["spec"]["schedule"] == "0 2 * * *"


async def test_a_missing_secret_is_told(vault):
    del vault.kube.objects["Secret", "shop", "apm-mongodb"]
    vault.policy()
    await vault.reconcile()
    assert vault.reason() == "SecretMissing"
    vault.write("Backup", "one", {"policyRef": {"name": "nightly"}})
    await vault.reconcile("Backup", "one")
    assert vault.reason("Backup", "one") == "SecretMissing"
    assert not vault.get("Job", "one")


async def test_a_backup_without_its_policy_waits(vault):
    vault.write("Backup", "one", {"policyRef": {"name": "nightly"}})
    await vault.reconcile("Backup", "one")
    assert vault.reason("Backup", "one") == "PolicyMissing"
    await ready(vault)
    await vault.reconcile("Backup", "one")
    assert vault.get("Job", "one")


async def test_a_job_that_is_gone_blocks_nothing(vault):
    await ready(vault)
    vault.write("Backup", "one", {"policyRef": {"name": "nightly"}})
    await vault.reconcile("Backup", "one")
    await vault.reconcile("Backup", "one")
    vault.delete("Job", "one")
    await vault.reconcile("Backup", "one")
    assert (vault.reason("Backup", "one"), vault.status("Backup", "one")["phase"]) == ("JobGone", "Failed")
    vault.restart()
    await vault.reconcile("Backup", "one")
    assert not vault.get("Job", "one")


async def fails(vault: Vault, name: str) -> None:
    vault.write("Backup", name, {"policyRef": {"name": "nightly"}}, uid=f"uid-{name}-{vault.kube.version}")
    await vault.reconcile("Backup", name)
    vault.reported(name, {"result": "Failed", "reason": "StorageFull", "message": "No room."})
    await vault.reconcile("Backup", name)


def counted(vault: Vault) -> float | None:
    """What Prometheus reads of the failures."""
    backupmetrics.export(vault.cache, vault.now)
    at = {"namespace": "shop", "policy": "nightly", "reason": "StorageFull"}
    return metrics.REGISTRY.get_sample_value("apm_backup_failures_total", at)


async def test_a_failure_stays_counted_when_its_backup_is_gone(vault):
    await ready(vault)
    await fails(vault, "one")
    await fails(vault, "two")
    await vault.reconcile()
    assert vault.status()["failures"] == {"StorageFull": 2}
    vault.delete("Backup", "one")
    vault.delete("Job", "one")
    vault.restart()
    await vault.reconcile()
    assert vault.status()["failures"] == {"StorageFull": 2}
    await fails(vault, "one")
    await vault.reconcile()
    await vault.reconcile()
    assert vault.status()["failures"] == {"StorageFull": 3}
    assert counted(vault) == 3


async def test_a_failure_is_counted_before_its_backup_goes(vault):
    await ready(vault)
    await fails(vault, "one")
    vault.at("2026-06-05T12:00")
    await vault.reconcile()
    assert vault.get("Backup", "one")
    await vault.reconcile()
    assert not vault.get("Backup", "one")
    vault.restart()
    await vault.reconcile()
    assert vault.status()["failures"] == {"StorageFull": 1}


async def test_of_a_policy_that_always_fails_no_more_than_a_hundred_backups_stay(vault):
    await ready(vault)
    for number in range(103):
        await fails(vault, f"by-hand-{number:03}")
        vault.now += timedelta(minutes=1)
    for _ in range(3):
        vault.restart()
        await vault.reconcile()
    assert vault.kube.kinds()["Backup"] == 100
    assert not vault.get("Backup", "by-hand-002")
    assert vault.status()["failures"] == {"StorageFull": 103}
    assert len(vault.status()["countedFailures"]) == 100


def foreign(vault: Vault, name: str, **labels: str) -> None:
    """Somebody makes a Job."""
    metadata = {"name": name, "namespace": "shop", "uid": "foreign", "resourceVersion": "90"}
    metadata |= {"labels": labels, "ownerReferences": []}
    vault.kube.objects["Job", "shop", name] = {"kind": "Job", "metadata": metadata, "spec": {}}
    vault.restart()


@pytest.mark.parametrize("labels", [{}, {POLICY_LABEL: "nightly"}, {POLICY_LABEL: "another"}])
async def test_a_job_of_somebody_else_with_a_backups_name_is_told_of_until_it_goes(vault, labels):
    await ready(vault)
    vault.write("Backup", "one", {"policyRef": {"name": "nightly"}})
    foreign(vault, "one", **labels)
    for _ in range(2):
        outcome = await vault.reconcile("Backup", "one")
        assert (outcome.failed, outcome.again) == (False, 60.0)
    assert vault.reason("Backup", "one") == "NameTaken"
    assert vault.status("Backup", "one")["phase"] == "Pending"
    assert "remove it, or give the Backup another name" in str(vault.status("Backup", "one"))
    assert vault.events().count("NameTaken") == 1
    vault.delete("Job", "one")
    await vault.reconcile("Backup", "one")
    assert vault.get("Job", "one")["metadata"]["ownerReferences"][0]["kind"] == "Backup"


async def test_a_job_that_took_the_place_of_a_backups_own_says_nothing_of_it(vault):
    await ready(vault)
    vault.write("Backup", "one", {"policyRef": {"name": "nightly"}})
    await vault.reconcile("Backup", "one")
    vault.delete("Job", "one")
    foreign(vault, "one", **{POLICY_LABEL: "nightly"})
    vault.reported("one", report("one"))
    await vault.reconcile("Backup", "one")
    assert vault.reason("Backup", "one") == "JobGone"


async def test_a_pod_whose_node_is_lost_holds_up_no_other_run(vault):
    await ready(vault)
    vault.at("2026-05-01T02:00:05")
    vault.job(FIRST)
    vault.runs(FIRST)
    await vault.reconcile()
    await vault.reconcile("Backup", FIRST)
    vault.node_lost(FIRST)
    vault.now += timedelta(seconds=20)
    await vault.reconcile("Backup", FIRST)
    assert vault.reason("Backup", FIRST) == "Running"
    vault.now += timedelta(seconds=20)
    outcome = await vault.reconcile("Backup", FIRST)
    assert not outcome.failed
    assert vault.reason("Backup", FIRST) == "PodLost"
    assert "Node node-1 does not say" in str(vault.status("Backup", FIRST))
    assert not vault.get("Job", FIRST)


async def test_a_test_whose_node_is_lost_holds_up_no_other(vault):
    await ready(vault)
    vault.job("nightly-verify-1", labels={POLICY_LABEL: "nightly", JOB_LABEL: "verify"})
    vault.runs("nightly-verify-1")
    vault.node_lost("nightly-verify-1")
    assert (await vault.reconcile()).again == 30.0
    vault.now += timedelta(seconds=31)
    await vault.reconcile()
    assert "PodLost" in vault.events()
    assert not vault.get("Job", "nightly-verify-1")


async def test_what_is_gone_from_the_storage_goes_as_a_resource(vault):
    await ready(vault)
    for name in ("one", "two"):
        vault.write("Backup", name, {"policyRef": {"name": "nightly"}})
        await vault.reconcile("Backup", name)
        store = {"backups": 1, "verified": 1, "size": 1, "removed": ["one"]}
        vault.reported(name, report(name, store=store if name == "two" else None))
        await vault.reconcile("Backup", name)
    await vault.reconcile()
    assert not vault.get("Backup", "one")
    assert vault.get("Backup", "two")
    assert vault.status()["store"] == {"backups": 1, "verified": 1, "size": 1}


async def test_no_job_is_made_where_it_could_mount_the_operators_own_secrets():
    vault = Vault(home="shop")
    vault.policy()
    vault.write("Backup", "by-hand", {"policyRef": {"name": "nightly"}})
    vault.write("Restore", "back", {"from": {"backupRef": {"name": "by-hand"}}})
    for kind, name in (("BackupPolicy", "nightly"), ("Backup", "by-hand"), ("Restore", "back")):
        await vault.reconcile(kind, name)
    assert "operator's own namespace" in vault.status()["conditions"][0]["message"]
    assert set(vault.kube.kinds()) <= {"BackupPolicy", "Backup", "Restore", "Secret", "Event"}


@pytest.mark.parametrize(
    "endpoint", ["https://s3.example.com:99999", "https://s3:9000:9000", "http://[s3", "https://:1"]
)
async def test_an_address_that_is_none_is_told(vault, endpoint):
    s3 = {"endpoint": endpoint, "bucket": "kept", "credentialsSecretRef": {"name": "bucket"}}
    vault.policy(storage={"s3": s3})
    assert (await vault.reconcile()).result == "invalid"
    assert vault.reason() == "SpecInvalid"


@pytest.mark.parametrize(
    "uri", ["mongodb://h:notaport/", "mongodb://h:99999/", "mongodb://[h/", "mongodb://%zz@/", "x"]
)
async def test_whatever_a_secret_holds_the_policy_has_a_status(vault, uri):
    vault.secret("apm-mongodb", uri=uri)
    vault.restart()
    vault.policy()
    await vault.reconcile()
    assert vault.reason()

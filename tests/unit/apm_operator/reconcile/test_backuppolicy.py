"""Passes over policies and their backups."""

import pytest

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

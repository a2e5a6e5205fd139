"""`deletionPolicy: Delete`."""

import pytest

from unit.apm_operator.vault import Vault, report

FILES = "apm.valeo-neuroerp.com/files"


@pytest.fixture
async def vault() -> Vault:
    """A policy whose files go with it, and a Backup of it."""
    made = Vault()
    made.policy(deletionPolicy="Delete")
    await made.reconcile()
    made.write("Backup", "one", {"policyRef": {"name": "nightly"}})
    await made.reconcile("Backup", "one")
    made.reported("one", report("one"))
    await made.reconcile("Backup", "one")
    await made.reconcile("Backup", "one")
    return made


def leaving(vault: Vault, kind: str, name: str) -> None:
    """The user deletes it; its finalizer holds it."""
    body = vault.get(kind, name)
    vault.kube.version += 1
    body["metadata"] |= {"deletionTimestamp": "2026-05-01T12:00:00Z", "resourceVersion": str(vault.kube.version)}
    vault.restart()


async def test_files_go_before_their_backup(vault):
    assert vault.get("Backup", "one")["metadata"]["finalizers"] == [FILES]
    leaving(vault, "Backup", "one")
    await vault.reconcile("Backup", "one")
    assert vault.reason("Backup", "one") == "Removing"
    env = vault.get("Job", "one-remove")["spec"]["template"]["spec"]["containers"][0]["env"]
    assert '"command":"remove"' in env[0]["value"]
    assert '"names":["one"]' in env[0]["value"]
    assert vault.get("Backup", "one")["metadata"]["finalizers"] == [FILES]
    vault.reported("one-remove", {"result": "Succeeded", "reason": "Removed", "message": ""})
    await vault.reconcile("Backup", "one")
    assert vault.get("Backup", "one")["metadata"]["finalizers"] == []
    assert not vault.get("Job", "one-remove")


async def test_a_storage_that_is_gone_is_told_with_the_way_out(vault):
    leaving(vault, "Backup", "one")
    await vault.reconcile("Backup", "one")
    vault.reported("one-remove", {"result": "Failed", "reason": "StorageUnavailable", "message": "No answer."})
    outcome = await vault.reconcile("Backup", "one")
    assert outcome.failed
    assert vault.reason("Backup", "one") == "RemovalFailed"
    ready = next(each for each in vault.status("Backup", "one")["conditions"] if each["type"] == "Ready")
    assert "finalizers" in ready["message"]
    assert not vault.get("Job", "one-remove")


async def test_with_the_policy_go_all_files_and_backups(vault):
    assert vault.get("BackupPolicy")["metadata"]["finalizers"] == [FILES]
    leaving(vault, "BackupPolicy", "nightly")
    await vault.reconcile()
    vault.reported("nightly-remove", {"result": "Succeeded", "reason": "Removed", "message": ""})
    await vault.reconcile()
    assert vault.get("BackupPolicy")["metadata"]["finalizers"] == []
    assert not vault.get("Backup", "one")


async def test_retain_is_the_default():
    vault = Vault()
    vault.policy()
    await vault.reconcile()
    assert "finalizers" not in vault.get("BackupPolicy")["metadata"]

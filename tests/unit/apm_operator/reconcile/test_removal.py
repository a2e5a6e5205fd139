"""`deletionPolicy: Delete`."""

from datetime import timedelta
from typing import Any

import pytest

from apm_operator.errors import ApiError, NamespaceTerminating
from unit.apm_operator.vault import Vault, report

FILES = "apm.valeo-neuroerp.com/files"
S3 = {"s3": {"bucket": "kept", "endpoint": "http://10.9.9.9:9000", "credentialsSecretRef": {"name": "bucket"}}}
DONE = {"result": "Succeeded", "reason": "Completed", "message": ""}


async def stored(**spec: Any) -> Vault:
    """A policy whose files go with it, and a Backup of it."""
    made = Vault()
    made.secret("bucket", **{"access-key-id": "id", "secret-access-key": "key"})
    made.policy(**{"deletionPolicy": "Delete"} | spec)
    await made.reconcile()
    made.write("Backup", "one", {"policyRef": {"name": "nightly"}})
    await made.reconcile("Backup", "one")
    made.reported("one", report("one"))
    await made.reconcile("Backup", "one")
    await made.reconcile("Backup", "one")
    return made


@pytest.fixture
async def vault() -> Vault:
    return await stored()


def removal(vault: Vault) -> str:
    """Name of the one Job that removes files; "" where there is none."""
    found = [name for kind, _, name in vault.kube.objects if kind == "Job" and "-remove-" in name]
    assert len(found) < 2
    return found[0] if found else ""


def told(vault: Vault, kind: str = "Backup", name: str = "one") -> str:
    """Its message."""
    conditions = vault.status(kind, name)["conditions"]
    return next(str(each["message"]) for each in conditions if each["type"] == "Ready")


async def test_files_go_before_their_backup(vault):
    assert vault.get("Backup", "one")["metadata"]["finalizers"] == [FILES]
    vault.leave("Backup", "one")
    await vault.reconcile("Backup", "one")
    assert vault.reason("Backup", "one") == "Removing"
    env = vault.get("Job", removal(vault))["spec"]["template"]["spec"]["containers"][0]["env"]
    assert '"command":"remove"' in env[0]["value"]
    assert '"names":["one"]' in env[0]["value"]
    assert vault.get("Backup", "one")["metadata"]["finalizers"] == [FILES]
    vault.reported(removal(vault), DONE)
    await vault.reconcile("Backup", "one")
    assert vault.get("Backup", "one")["metadata"]["finalizers"] == []
    assert not removal(vault)


@pytest.mark.parametrize(("kind", "name"), [("Backup", "one"), ("BackupPolicy", "nightly")])
async def test_nothing_that_a_removal_needs_belongs_to_what_is_deleted(vault, kind, name):
    """In a deletion in the foreground, what belongs to it goes first."""
    before = set(vault.kube.objects)
    vault.leave(kind, name)
    await vault.reconcile(kind, name)
    job = removal(vault)
    assert "ownerReferences" not in vault.get("Job", job)["metadata"]
    assert vault.get("Job", job)["spec"]["suspend"] is False
    new = {at[0]: vault.kube.objects[at] for at in set(vault.kube.objects) - before if at[0] not in ("Job", "Event")}
    assert set(new) == {"ServiceAccount", "Role", "RoleBinding", "NetworkPolicy"}
    for body in new.values():
        assert [each["uid"] for each in body["metadata"]["ownerReferences"]] == [
            vault.get("Job", job)["metadata"]["uid"]
        ]
    pod = vault.get("Job", job)["spec"]["template"]
    assert pod["spec"]["serviceAccountName"] == new["ServiceAccount"]["metadata"]["name"]
    assert new["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    lease = new["Role"]["rules"][0]["resourceNames"]
    owners = [vault.get("Lease", each)["metadata"]["ownerReferences"] for each in lease]
    assert [each[-1]["kind"] for each in owners] == ["Job"]


async def test_its_pod_does_not_start_before_its_fence(vault):
    vault.leave("Backup", "one")
    vault.kube.fail["apply", "NetworkPolicy"] = [ApiError("overloaded", status=500)]
    assert (await vault.reconcile("Backup", "one")).failed
    assert vault.get("Job", removal(vault))["spec"]["suspend"] is True
    vault.restart()
    await vault.reconcile("Backup", "one")
    assert vault.get("Job", removal(vault))["spec"]["suspend"] is False
    assert vault.get("NetworkPolicy", removal(vault))


async def test_a_storage_that_is_gone_is_told_with_the_way_out(vault):
    vault.leave("Backup", "one")
    await vault.reconcile("Backup", "one")
    failed = {"result": "Failed", "reason": "StorageUnavailable", "message": "No answer."}
    vault.reported(removal(vault), failed)
    outcome = await vault.reconcile("Backup", "one")
    assert (outcome.result, outcome.again) == ("retry", 300.0)
    assert vault.reason("Backup", "one") == "RemovalFailed"
    assert "RemovalFailed" in vault.events()
    assert "one.* in the folder shop/nightly of the claim nightly-backups" in told(vault)
    assert "finalizers" in told(vault)
    job = removal(vault)
    vault.job(job, "Failed", creationTimestamp="2026-05-01T12:00:00Z")
    vault.kube.objects["Job", "shop", job]["status"]["conditions"][0]["lastTransitionTime"] = "2026-05-01T12:00:00Z"
    vault.at("2026-05-01T12:06")
    vault.restart()
    await vault.reconcile("Backup", "one")
    assert not removal(vault)
    vault.restart()
    await vault.reconcile("Backup", "one")
    assert removal(vault)


async def test_missing_credentials_are_told_until_they_are_there():
    vault = await stored(storage=S3)
    del vault.kube.objects["Secret", "shop", "bucket"]
    vault.restart()
    vault.leave("Backup", "one")
    assert (await vault.reconcile("Backup", "one")).failed
    assert vault.get("Job", removal(vault))["spec"]["suspend"] is True
    assert "RemovalFailed" in vault.events()
    assert "(SecretMissing)" in told(vault)
    assert "all that is called one.* below shop/nightly/ in the bucket kept" in told(vault)
    vault.secret("bucket", **{"access-key-id": "id", "secret-access-key": "key"})
    vault.restart()
    await vault.reconcile("Backup", "one")
    assert vault.get("Job", removal(vault))["spec"]["suspend"] is False


async def test_a_removal_needs_no_mongodb(vault):
    del vault.kube.objects["Secret", "shop", "apm-mongodb"]
    vault.restart()
    vault.leave("BackupPolicy", "nightly")
    await vault.reconcile()
    assert "apm-mongodb" not in str(vault.get("Job", removal(vault)))


async def test_files_of_a_policy_that_is_gone_are_removed_from_where_they_lie(vault):
    vault.write("Backup", "own", {"policyRef": {"name": "nightly"}, "deletionPolicy": "Delete"})
    await vault.reconcile("Backup", "own")
    vault.reported("own", report("own"))
    for _ in range(2):
        await vault.reconcile("Backup", "own")
    vault.delete("BackupPolicy", "nightly")
    vault.restart()
    await vault.reconcile("Backup", "own")
    assert vault.get("Backup", "own")["metadata"]["finalizers"] == [FILES]
    vault.leave("Backup", "own")
    await vault.reconcile("Backup", "own")
    spec = vault.get("Job", removal(vault))["spec"]["template"]["spec"]
    assert '"path":"/backups/shop/nightly"' in spec["containers"][0]["env"][0]["value"]
    assert {"name": "backups", "persistentVolumeClaim": {"claimName": "nightly-backups"}} in spec["volumes"]
    vault.reported(removal(vault), {"result": "Failed", "reason": "StorageUnavailable", "message": "No answer."})
    await vault.reconcile("Backup", "own")
    assert "BackupPolicy nightly is gone" in told(vault, "Backup", "own")


async def test_files_that_nobody_can_find_are_told_of(vault):
    vault.write("Backup", "own", {"policyRef": {"name": "nightly"}, "deletionPolicy": "Delete"}, finalizers=[FILES])
    vault.kube.objects["Backup", "shop", "own"]["status"] = {"phase": "Completed", "sha256": "ab", "verified": "True"}
    vault.delete("BackupPolicy", "nightly")
    vault.restart()
    vault.leave("Backup", "own")
    await vault.reconcile("Backup", "own")
    assert vault.reason("Backup", "own") == "RemovalFailed"
    assert "where it lies" in told(vault, "Backup", "own")
    assert "finalizers" in told(vault, "Backup", "own")


async def test_with_the_policy_go_all_files_and_backups(vault):
    assert vault.get("BackupPolicy")["metadata"]["finalizers"] == [FILES]
    vault.leave("BackupPolicy", "nightly")
    await vault.reconcile()
    vault.reported(removal(vault), DONE)
    await vault.reconcile()
    assert vault.get("BackupPolicy")["metadata"]["finalizers"] == []
    assert not vault.get("Backup", "one")


async def test_a_backup_that_says_so_stays_with_its_files(vault):
    vault.write("Backup", "keep", {"policyRef": {"name": "nightly"}, "deletionPolicy": "Retain"})
    await vault.reconcile("Backup", "keep")
    vault.reported("keep", report("keep"))
    await vault.reconcile("Backup", "keep")
    vault.leave("BackupPolicy", "nightly")
    await vault.reconcile()
    assert '"names":[],"kept":["keep"]' in str(vault.get("Job", removal(vault)))
    vault.reported(removal(vault), DONE)
    await vault.reconcile()
    assert vault.get("Backup", "keep")
    assert not vault.get("Backup", "one")


async def test_nothing_is_stored_any_more_once_a_policy_goes(vault):
    vault.job("nightly-29627160")
    vault.leave("BackupPolicy", "nightly")
    await vault.reconcile()
    assert not vault.get("CronJob")
    assert not vault.get("Job", "nightly-29627160")
    vault.restart()
    await vault.reconcile()
    assert removal(vault)


async def test_backups_of_an_earlier_storage_go_from_there():
    vault = await stored(storage=S3)
    vault.policy(deletionPolicy="Delete")
    await vault.reconcile()
    vault.leave("BackupPolicy", "nightly")
    await vault.reconcile()
    vault.reported(removal(vault), DONE)
    await vault.reconcile()
    assert vault.get("Backup", "one")["metadata"]["finalizers"] == [FILES]
    vault.delete("BackupPolicy", "nightly")
    vault.restart()
    await vault.reconcile("Backup", "one")
    assert '"bucket":"kept"' in str(vault.get("Job", removal(vault)))


async def test_a_namespace_that_goes_is_not_held_up():
    vault = await stored(storage=S3)
    del vault.kube.objects["Secret", "shop", "bucket"]
    vault.restart()
    vault.leave("BackupPolicy", "nightly")
    vault.kube.fail["create", "Job"] = [NamespaceTerminating("it is being terminated", status=403)]
    assert (await vault.reconcile()).result == "gone"
    assert vault.get("BackupPolicy")["metadata"]["finalizers"] == []


async def test_a_removal_whose_node_is_lost_is_begun_anew(vault):
    vault.leave("Backup", "one")
    await vault.reconcile("Backup", "one")
    job = removal(vault)
    vault.runs(job)
    vault.node_lost(job)
    vault.now += timedelta(seconds=31)
    await vault.reconcile("Backup", "one")
    assert not removal(vault)
    vault.restart()
    await vault.reconcile("Backup", "one")
    assert removal(vault) == job


async def test_a_job_of_somebody_else_is_told_of(vault):
    vault.leave("Backup", "one")
    await vault.reconcile("Backup", "one")
    job = removal(vault)
    vault.kube.objects["Job", "shop", job]["metadata"]["labels"] = {}
    vault.restart()
    assert (await vault.reconcile("Backup", "one")).failed
    assert f"A Job named {job} exists" in told(vault)


async def test_retain_is_the_default():
    vault = Vault()
    vault.policy()
    await vault.reconcile()
    assert "finalizers" not in vault.get("BackupPolicy")["metadata"]

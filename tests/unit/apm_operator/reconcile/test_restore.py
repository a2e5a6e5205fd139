"""Passes over Restores, and the agents that rest meanwhile."""

import json

import pytest

from apm_operator.kinds import AGENTS
from apm_operator.queue import Key
from apm_operator.reconcile.pauses import Pauses
from apm_operator.reconcile.secrets import Secrets
from unit.apm_operator.agents import body
from unit.apm_operator.vault import MONGODB, Vault, report

AGENT = Key("shop", "one")
FROM = {"backupRef": {"name": "monday"}}


@pytest.fixture
async def vault() -> Vault:
    """With the Backup `monday`."""
    made = Vault()
    made.policy()
    await made.reconcile()
    made.write("Backup", "monday", {"policyRef": {"name": "nightly"}})
    await made.reconcile("Backup", "monday")
    await made.reconcile("Backup", "monday")
    made.reported("monday", report("monday"))
    await made.reconcile("Backup", "monday")
    return made


def agent(vault: Vault, database: str = "apm", **state: object) -> None:
    mongodb = MONGODB | {"database": database} | state
    vault.kube.version += 1
    made = body(version=str(vault.kube.version), generation=vault.kube.version, state={"mongodb": mongodb})
    vault.kube.objects[AGENTS.kind, "shop", "one"] = made
    vault.cache.observe(made, deleted=False)


def rests(vault: Vault) -> str:
    return Pauses(vault.cache, Secrets(vault.kube)).of_agent(AGENT)


def told(vault: Vault) -> dict[str, object]:
    container = vault.get("Job", "back")["spec"]["template"]["spec"]["containers"][0]
    job: dict[str, object] = json.loads(container["env"][0]["value"])
    return job


async def test_a_restore_takes_its_backup_from_where_it_lies(vault):
    vault.write("Restore", "back", {"from": FROM})
    await vault.reconcile("Restore", "back")
    job = told(vault)
    assert (job["command"], job["name"], job["replace"]) == ("restore", "monday", False)
    assert job["storage"] == {"kind": "folder", "path": "/backups/shop/nightly"}
    policy = {lease["name"] for lease in job["leases"]}
    assert policy == set(vault.get("Role", "nightly-backup")["rules"][0]["resourceNames"])
    assert vault.status("Restore", "back")["phase"] == "Waiting"


async def test_without_the_policy_it_needs_a_target(vault):
    vault.delete("BackupPolicy", "nightly")
    vault.write("Restore", "back", {"from": FROM})
    await vault.reconcile("Restore", "back")
    assert vault.reason("Restore", "back") == "BackupMissing"
    vault.write("Restore", "there", {"from": FROM, "target": {"mongodb": MONGODB}})
    await vault.reconcile("Restore", "there")
    assert vault.get("Job", "there")


@pytest.mark.parametrize("name", ["nothing", "broken"])
async def test_what_is_no_whole_backup_is_not_restored(vault, name):
    vault.write("Backup", "broken", {"policyRef": {"name": "nightly"}})
    vault.write("Restore", "back", {"from": {"backupRef": {"name": name}}})
    await vault.reconcile("Restore", "back")
    assert vault.reason("Restore", "back") == "BackupMissing"
    assert not vault.get("Job", "back")


async def test_agents_rest_until_it_has_ended_however_it_ended(vault):
    agent(vault)
    vault.write("Restore", "back", {"from": FROM, "pauseAgents": True, "mode": "Replace"})
    await vault.reconcile("Restore", "back")
    assert vault.status("Restore", "back")["pausedAgents"] == ["one"]
    assert rests(vault) == "back"
    assert AGENT in vault.woken
    await vault.reconcile("Restore", "back")
    assert vault.get("Job", "back")
    vault.restart()
    assert rests(vault) == "back"
    failed = {"result": "Failed", "reason": "RestoreDiffers", "message": "One is missing."}
    vault.reported("back", failed)
    vault.woken.clear()
    await vault.reconcile("Restore", "back")
    assert vault.reason("Restore", "back") == "RestoreDiffers"
    assert rests(vault) == ""
    assert AGENT in vault.woken


async def test_agents_come_back_when_the_restore_is_deleted(vault):
    agent(vault)
    vault.write("Restore", "back", {"from": FROM, "pauseAgents": True})
    await vault.reconcile("Restore", "back")
    vault.woken.clear()
    vault.delete("Restore", "back")
    await vault.reconcile("Restore", "back")
    assert rests(vault) == ""
    assert AGENT in vault.woken


async def test_agents_of_other_databases_go_on(vault):
    target = {"databases": [{"from": "apm", "to": "apm_look_back"}]}
    agent(vault)
    vault.write("Restore", "back", {"from": FROM, "target": target, "pauseAgents": True})
    await vault.reconcile("Restore", "back")
    assert rests(vault) == ""
    agent(vault, "apm_look_back")
    assert rests(vault) == "back"
    agent(vault, "unnamed")
    assert rests(vault) == "back", "what is not renamed keeps its name"
    agent(vault, "apm_look_back", uriSecretRef={"name": "another", "key": "uri"})
    assert rests(vault) == ""
    agent(vault, "unnamed")
    vault.policy(source={"mongodb": MONGODB, "databases": ["apm"]})
    assert rests(vault) == "", "the backups do not hold it"


async def test_what_a_job_restored_is_told(vault):
    vault.write("Restore", "back", {"from": FROM})
    await vault.reconcile("Restore", "back")
    facts = {"name": "monday", "documents": 7, "size": 70, "collections": 2, "indexes": 3, "seconds": 1.0}
    vault.reported("back", {"result": "Succeeded", "reason": "Completed", "message": "So.", "restore": facts})
    await vault.reconcile("Restore", "back")
    status = vault.status("Restore", "back")
    assert (status["phase"], status["documents"], status["indexes"]) == ("Completed", 7, 3)
    vault.restart()
    await vault.reconcile("Restore", "back")
    assert vault.kube.writes() == {}

"""Passes over Restores, and the agents that rest meanwhile."""

import json
from datetime import timedelta

import pytest

from apm_operator.kinds import AGENTS, FINALIZER, RESTORE_LABEL
from apm_operator.queue import Key
from apm_operator.reconcile.facts import DeploymentFacts
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


def said(vault: Vault) -> str:
    ready = next(each for each in vault.status("Restore", "back")["conditions"] if each["type"] == "Ready")
    return str(ready["message"])


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


async def at_work(vault: Vault) -> None:
    """A Restore for which an agent rests, and whose pod runs."""
    agent(vault)
    vault.write("Restore", "back", {"from": FROM, "pauseAgents": True})
    for _ in range(2):
        await vault.reconcile("Restore", "back")
    vault.runs("back")
    await vault.reconcile("Restore", "back")
    assert vault.reason("Restore", "back") == "Running"


async def test_a_deployment_that_has_not_heard_of_it_yet_does_not_rest(vault):
    agent(vault)
    vault.write("Restore", "back", {"from": FROM, "pauseAgents": True})
    entry = vault.cache.get(AGENT)
    entry.deployment = DeploymentFacts(generation=2, observed_generation=1, wanted=0)
    for _ in range(2):
        await vault.reconcile("Restore", "back")
    assert not vault.get("Job", "back")
    entry.deployment = DeploymentFacts(generation=2, observed_generation=2, wanted=0)
    await vault.reconcile("Restore", "back")
    assert vault.get("Job", "back")


async def test_agents_rest_until_the_pod_of_a_deleted_restore_is_gone(vault):
    await at_work(vault)
    vault.leave("Restore", "back")
    await vault.reconcile("Restore", "back")
    vault.restart()
    assert "deletionTimestamp" in vault.get("Job", "back")["metadata"]
    assert vault.reason("Restore", "back") == "Stopping"
    assert rests(vault) == "back"
    vault.delete("Job", "back")
    await vault.reconcile("Restore", "back")
    assert vault.get("Restore", "back")["metadata"]["finalizers"] == [FINALIZER]
    assert rests(vault) == "back"
    vault.delete("Pod", "back-x")
    await vault.reconcile("Restore", "back")
    assert vault.get("Restore", "back")["metadata"]["finalizers"] == []


@pytest.mark.parametrize("labels", [{}, {RESTORE_LABEL: "back"}])
async def test_no_agent_rests_for_a_restore_whose_name_another_job_has(vault, labels):
    metadata = {"name": "back", "namespace": "shop", "uid": "foreign", "resourceVersion": "90", "labels": labels}
    vault.kube.objects["Job", "shop", "back"] = {"kind": "Job", "metadata": metadata, "spec": {}}
    vault.restart()
    agent(vault)
    vault.write("Restore", "back", {"from": FROM, "pauseAgents": True})
    for _ in range(2):
        await vault.reconcile("Restore", "back")
    assert vault.reason("Restore", "back") == "NameTaken"
    assert rests(vault) == ""
    vault.delete("Job", "back")
    for _ in range(2):
        await vault.reconcile("Restore", "back")
    assert vault.get("Job", "back")["metadata"]["ownerReferences"][0]["kind"] == "Restore"


async def test_agents_rest_while_nobody_knows_whether_the_pod_of_a_lost_node_runs(vault):
    await at_work(vault)
    vault.node_lost("back")
    vault.now += timedelta(seconds=31)
    await vault.reconcile("Restore", "back")
    assert vault.reason("Restore", "back") == "PodLost"
    assert "kubectl delete node" in str(vault.status("Restore", "back"))
    assert rests(vault) == "back"
    vault.leave("Restore", "back")
    await vault.reconcile("Restore", "back")
    assert vault.reason("Restore", "back") == "PodLost"
    assert rests(vault) == "back"


async def test_agents_rest_while_the_pod_of_a_deleted_job_runs(vault):
    await at_work(vault)
    vault.delete("Job", "back")
    await vault.reconcile("Restore", "back")
    assert rests(vault) == "back"
    vault.delete("Pod", "back-x")
    await vault.reconcile("Restore", "back")
    assert vault.reason("Restore", "back") == "JobGone"
    assert rests(vault) == ""
    await vault.reconcile("Restore", "back")
    assert vault.get("Restore", "back")["metadata"]["finalizers"] == []


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


async def test_a_private_key_that_the_policy_names_later_opens_older_backups(vault):
    keys = {"recipients": ["age1wh4687r367q4lrqrk92u8jymdwvky64v8h9vsn88ljm9t5cv7dcq7wxmqa"]}
    status = vault.kube.objects["Backup", "shop", "monday"]["status"]
    status["location"] = {**status["location"], "encryption": keys}
    vault.restart()
    vault.write("Restore", "back", {"from": FROM})
    await vault.reconcile("Restore", "back")
    assert vault.reason("Restore", "back") == "BackupMissing"
    assert "identitySecretRef of its BackupPolicy" in said(vault)
    vault.secret("apm-backup-age", identity="AGE-SECRET-KEY-1")
    vault.policy(encryption=keys | {"identitySecretRef": {"name": "apm-backup-age", "key": "identity"}})
    await vault.reconcile("Restore", "back")
    assert told(vault)["age"]["identityFile"].endswith("/apm-backup-age/identity")


async def test_where_the_network_policy_opens_too_little_it_says_so(vault):
    vault.secret("bucket", **{"access-key-id": "id", "secret-access-key": "key"})
    s3 = {"endpoint": "https://s3.example.com", "bucket": "kept", "credentialsSecretRef": {"name": "bucket"}}
    place = {"location": {"storage": {"s3": s3}, "path": "shop/nightly"}}
    vault.write("Restore", "back", {"from": place, "target": {"mongodb": MONGODB}})
    await vault.reconcile("Restore", "back")
    failed = {"result": "Failed", "reason": "StorageUnavailable", "message": "can't read it."}
    vault.reported("back", failed)
    await vault.reconcile("Restore", "back")
    assert said(vault).startswith("can't read it. The Jobs' network policy does not open: ")
    assert "s3.example.com" in said(vault)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"spec": {"suspend": True}}, "since its spec.suspend is true: mend that"),
        (
            {
                "status": {
                    "conditions": [
                        {"type": "Ready", "status": "False", "reason": "WorkflowInvalid"},
                        {"type": "Stalled", "status": "True", "reason": "WorkflowInvalid"},
                    ]
                }
            },
            "since its spec can't be carried out (WorkflowInvalid): mend that",
        ),
    ],
    ids=["suspended", "wrong"],
)
async def test_an_agent_that_can_not_rest_is_told(vault, change, why):
    agent(vault)
    made = vault.kube.objects[AGENTS.kind, "shop", "one"]
    for part, content in change.items():
        made[part] = {**made.get(part, {}), **content}
    vault.restart()
    vault.cache.get(AGENT).deployment = DeploymentFacts(wanted=1, replicas=1)
    vault.write("Restore", "back", {"from": FROM, "pauseAgents": True, "mode": "Replace"})
    await vault.reconcile("Restore", "back")
    assert f"Agent one keeps its pods, {why}" in said(vault)
    assert "scale deployment one --replicas=0" in said(vault)
    await vault.reconcile("Restore", "back")
    assert not vault.get("Job", "back")
    vault.cache.get(AGENT).deployment = DeploymentFacts(wanted=0, replicas=0)
    await vault.reconcile("Restore", "back")
    assert vault.get("Job", "back")


async def test_its_pods_run_and_reach_out_as_those_of_the_policy(vault):
    job = {"nodeSelector": {"disk": "fast"}, "timeout": "20h"}
    vault.policy(job=job, network={"egressTo": [{"cidr": "192.0.2.0/24"}]})
    vault.write("Restore", "back", {"from": FROM})
    await vault.reconcile("Restore", "back")
    assert vault.get("Job", "back")["spec"]["template"]["spec"]["nodeSelector"] == {"disk": "fast"}
    assert told(vault)["deadline"] == 72_000
    assert "192.0.2.0/24" in str(vault.get("NetworkPolicy", "back-restore"))
    own = {"from": FROM, "job": {"timeout": "1h"}, "network": {"egressTo": [{"cidr": "198.51.100.0/24"}]}}
    vault.write("Restore", "own", own)
    await vault.reconcile("Restore", "own")
    assert "nodeSelector" not in vault.get("Job", "own")["spec"]["template"]["spec"]
    assert "198.51.100.0/24" in str(vault.get("NetworkPolicy", "own-restore"))
    assert "192.0.2.0/24" not in str(vault.get("NetworkPolicy", "own-restore"))

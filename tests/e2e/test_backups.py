"""Backups are made on their schedule whatever the operator does, wait for each other, and outlive a lost pod."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo.database import Database
from pyrage import x25519

from e2e.support.backups import backup, own_database, policy, restore, until_phase
from e2e.support.manifests import MONGODB_SECRET, secret
from e2e.support.operator import Operator
from e2e.support.space import Space
from e2e.support.waiting import until

_DOCUMENTS = 2000
_MEBIBYTES = int(os.environ.get("APM_E2E_MEBIBYTES") or ("2048" if os.environ.get("APM_SOAK") else "64"))


@pytest.fixture
def database(space: Space) -> Iterator[Database]:
    """A database of the test's own, with documents."""
    with own_database(space) as database:
        database["notes"].insert_many([{"_id": number, "text": "x" * 200} for number in range(_DOCUMENTS)])
        database["notes"].create_index([("text", 1)], name="by_text")
        yield database


@pytest.fixture
def away(space: Space) -> Iterator[Operator]:
    """The operator, which is back after the test."""
    operator = Operator(space.cluster)
    yield operator
    operator.scale(1)
    operator.wait_until_complete()


def test_a_backup_runs_although_the_operator_is_away(space: Space, database: Database, away: Operator) -> None:
    space.apply(policy("nightly", database.name))
    until("a CronJob", lambda: space.get("cronjob", "nightly"), bool, seconds=60)
    away.scale(0)
    # The schedule is the CronJob's alone now, as it would be at night.
    space.kubectl("patch", "cronjob", "nightly", "--type=merge", "-p", '{"spec": {"schedule": "* * * * *"}}')
    job = until("a run that is over", lambda: _complete(space), bool, seconds=150)
    away.scale(1)
    status = until_phase(space, "backup", job, "Completed")
    assert status["verified"] == "True"
    assert status["documents"] == _DOCUMENTS


def _complete(space: Space) -> str:
    jobs = json.loads(space.kubectl("get", "jobs", "--output=json"))["items"]
    return next((job["metadata"]["name"] for job in jobs if job.get("status", {}).get("succeeded")), "")


def test_backups_of_one_database_wait_for_each_other(space: Space, database: Database) -> None:
    space.apply(policy("nightly", database.name), policy("hourly", database.name))
    space.apply(backup("one", "nightly"), backup("two", "hourly"))
    first, second = sorted(
        (until_phase(space, "backup", name, "Completed", seconds=240) for name in ("one", "two")),
        key=lambda status: status["started"],
    )
    assert first["verified"] == second["verified"] == "True"
    assert datetime.fromisoformat(first["finished"]) <= datetime.fromisoformat(second["finished"])


def test_a_backup_outlives_the_loss_of_its_pod(space: Space, database: Database) -> None:
    database["more"].insert_many([{"_id": number, "text": "y" * 2000} for number in range(20_000)])
    space.apply(policy("nightly", database.name), backup("by-hand", "nightly"))
    pod = until("a pod at work", lambda: _running(space), bool, seconds=90)
    space.kubectl("delete", "pod", pod, "--grace-period=0", "--force")
    assert until_phase(space, "backup", "by-hand", "Completed", seconds=300)["verified"] == "True"
    database.client.drop_database(database.name)
    space.apply(restore("back", "by-hand"))
    assert until_phase(space, "restore", "back", "Completed")["documents"] == _DOCUMENTS + 20_000
    assert database["notes"].count_documents({}) == _DOCUMENTS
    assert "by_text" in database["notes"].index_information()


def _running(space: Space) -> str:
    query = "--output=jsonpath={.items[?(@.status.phase=='Running')].metadata.name}"
    return space.kubectl("get", "pods", "-l=batch.kubernetes.io/job-name=by-hand", query).strip()


def test_a_restore_refuses_a_target_with_data(space: Space, database: Database) -> None:
    space.apply(policy("nightly", database.name), backup("by-hand", "nightly"))
    until_phase(space, "backup", "by-hand", "Completed")
    database["notes"].update_one({"_id": 1}, {"$set": {"text": "newer"}})
    space.apply(restore("over", "by-hand"))
    status = until_phase(space, "restore", "over", "Failed")
    ready = next(each for each in status["conditions"] if each["type"] == "Ready")
    assert ready["reason"] == "TargetNotEmpty"
    assert "Replace" in ready["message"]
    assert database["notes"].find_one({"_id": 1}) == {"_id": 1, "text": "newer"}


def test_a_policy_tells_how_its_backups_are(space: Space, database: Database) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    space.apply(policy("nightly", database.name, timeZone="Europe/Berlin"), backup("by-hand", "nightly"))
    until_phase(space, "backup", "by-hand", "Completed")
    status = until(
        "the policy tells",
        lambda: space.get("backuppolicy", "nightly").get("status", {}),
        lambda seen: seen.get("lastVerifiedTime"),
        seconds=30,
    )
    assert datetime.fromisoformat(status["lastSuccessTime"]) >= before
    assert datetime.fromisoformat(status["nextScheduleTime"]) > before
    assert status["store"]["verified"] == 1
    assert status["lastBackup"] == "by-hand"


def test_what_is_deleted_goes_with_its_files_where_the_policy_says_so(space: Space, database: Database) -> None:
    space.apply(policy("nightly", database.name, deletionPolicy="Delete"))
    space.apply(backup("first", "nightly"), backup("second", "nightly"))
    for name in ("first", "second"):
        until_phase(space, "backup", name, "Completed", seconds=240)

    space.kubectl("delete", "backup/first", "--timeout=120s")

    space.apply(_by_location(space, database, "first"), _by_location(space, database, "second"))
    status = until_phase(space, "restore", "of-first", "Failed")
    assert next(each["reason"] for each in status["conditions"] if each["type"] == "Ready") == "BackupMissing"
    assert until_phase(space, "restore", "of-second", "Completed")["documents"] == _DOCUMENTS
    space.kubectl("delete", "backuppolicy/nightly", "--cascade=foreground", "--timeout=120s")
    until("no Backup", lambda: space.get("backup", "second"), lambda found: not found, seconds=30)
    space.kubectl("delete", "restore/of-second")
    space.apply(_by_location(space, database, "second"))
    until_phase(space, "restore", "of-second", "Failed")


def test_an_encrypted_backup_comes_back_with_its_key(space: Space, database: Database) -> None:
    identity = x25519.Identity.generate()
    encryption = {
        "recipients": [str(identity.to_public())],
        "identitySecretRef": {"name": "age", "key": "identity"},
    }
    space.apply(secret("age", identity=str(identity)), policy("nightly", database.name, encryption=encryption))
    space.apply(backup("locked", "nightly"))
    assert until_phase(space, "backup", "locked", "Completed")["verified"] == "True"
    database.client.drop_database(database.name)
    space.apply(restore("open", "locked"))
    assert until_phase(space, "restore", "open", "Completed")["documents"] == _DOCUMENTS


@pytest.mark.timeout(1800)
def test_a_large_database_needs_no_more_memory_than_the_job_has(space: Space, database: Database) -> None:
    for number in range(_MEBIBYTES):
        database["large"].insert_one({"_id": number, "value": os.urandom(1 << 20)})
    space.apply(policy("nightly", database.name), backup("large", "nightly"))
    status = until_phase(space, "backup", "large", "Completed", seconds=900)
    assert status["verified"] == "True"
    assert status["size"] > _MEBIBYTES << 20
    limit = space.get("job", "large")["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"]
    assert limit == "256Mi"
    began, ended = (datetime.fromisoformat(status[name]) for name in ("started", "finished"))
    print(f"{status['size'] >> 20} MiB in {(ended - began).total_seconds():.0f} s")  # noqa: T201


def _by_location(space: Space, database: Database, name: str) -> dict[str, Any]:
    storage = {"persistentVolumeClaim": {"claimName": "nightly-backups"}}
    location = {"path": f"{space.name}/nightly", "storage": storage, "name": name}
    target = {
        "mongodb": {"uriSecretRef": {"name": MONGODB_SECRET, "key": "uri"}},
        "databases": [{"from": database.name, "to": f"{database.name}_{name}"}],
    }
    return restore(f"of-{name}", "", **{"from": {"location": location}, "target": target})

"""Golden manifests: what one policy or Restore becomes. `UPDATE_GOLDEN=1 pytest ...` writes them anew."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from pydantic import TypeAdapter

from apm_operator.backup.archive.prelude import Key as Collection
from apm_operator.backup.job import AnyJob, BackupJob, VerifyJob
from apm_operator.backup.scope import Selection
from apm_operator.manifests.networkpolicy import Target
from apm_operator.network import ClusterNetwork
from apm_operator.queue import Key
from apm_operator.reconcile.backupplan import Around, Looks, PolicyPlan, PolicyPlans
from apm_operator.reconcile.cache import Cache
from apm_operator.reconcile.plan import Images
from apm_operator.reconcile.removalplan import Files, RemovalPlans, job_name
from apm_operator.reconcile.restoreplan import RestorePlan, RestorePlans

REMOVAL = "nightly-1-remove-fb7459d471"
GOLDEN = Path(__file__).parent / "golden"
IMAGES = Images("registry.example/apm-backup:1", "IfNotPresent")
MONGODB = {"uriSecretRef": {"name": "mongodb", "key": "uri"}}
OTHER = {
    "uriSecretRef": {"name": "tests", "key": "uri"},
    "tls": {
        "caSecretRef": {"name": "tests", "key": "ca.crt"},
        "clientCertificateSecretRef": {"name": "tests-tls", "key": "tls-combined.pem"},
    },
}
VOLUME = {"persistentVolumeClaim": {"size": "20Gi", "storageClassName": "fast", "path": "a/b"}}
BUCKET = {
    "s3": {
        "endpoint": "https://minio.storage.svc:9000",
        "bucket": "backups",
        "prefix": "cluster-1",
        "credentialsSecretRef": {"name": "bucket"},
        "caSecretRef": {"name": "bucket", "key": "ca.crt"},
        "serverSideEncryption": {"mode": "customer", "keySecretRef": {"name": "bucket", "key": "sse"}},
    }
}
ENCRYPTION = {"recipients": ["age1" + "q" * 58], "identitySecretRef": {"name": "age", "key": "identity"}}
FULL: dict[str, Any] = {
    "schedule": "30 1 * * *",
    "timeZone": "Europe/Berlin",
    "startingDeadlineSeconds": 600,
    "suspend": True,
    "source": {"mongodb": MONGODB, "databases": ["apm"], "excluded": ["apm.cache*"], "readPreference": "primary"},
    "storage": BUCKET,
    "encryption": ENCRYPTION,
    "retention": {"days": 7, "minimum": 3},
    "verification": {"schedule": "0 5 * * 0", "sample": 10, "mongodb": OTHER},
    "job": {
        "image": "registry.example/own:2",
        "imagePullSecrets": [{"name": "registry"}],
        "resources": {"limits": {"cpu": "4"}},
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "night", "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "low",
        "timeout": "90m",
        "waitTimeout": "10m",
    },
    "network": {"egressTo": [{"cidr": "198.51.100.0/24", "ports": [9000]}], "allowInternet": True},
}
POLICIES: dict[str, dict[str, Any]] = {
    "backup-volume": {"source": {"mongodb": MONGODB}, "storage": VOLUME},
    "backup-bucket": FULL,
}
RESTORE: dict[str, Any] = {
    "from": {"location": {"storage": BUCKET, "encryption": ENCRYPTION, "path": "shop/nightly", "name": "nightly-1"}},
    "target": {"mongodb": OTHER, "databases": [{"from": "apm", "to": "apm_old"}]},
    "namespaces": ["apm.*"],
    "mode": "Replace",
}
AROUND = Around(
    database="apm-backup-db-0123456789",
    targets=(Target((27017,), "shop", (("app", "mongodb"),)), Target((9000,), "storage", (("app", "minio"),))),
    api_server=(("192.0.2.1/32", 6443),),
    missing=None,
    unknown=(),
)


class Told:
    """Looks that have seen it all."""

    async def look(self, *_: object) -> Around:
        return AROUND

    def release(self, _: Key) -> None:
        """Nothing is kept."""


LOOKS = cast("Looks", Told())


def filled(kind: str, name: str, spec: dict[str, Any]) -> tuple[Cache, Key]:
    metadata = {"name": name, "namespace": "shop", "uid": f"uid-of-{name}", "generation": 1, "resourceVersion": "1"}
    cache = Cache()
    cache.observe({"kind": kind, "metadata": metadata, "spec": spec}, deleted=False)
    return cache, Key("shop", name, kind)


def plan(spec: dict[str, Any], name: str = "nightly") -> PolicyPlan:
    cache, key = filled("BackupPolicy", name, spec)
    entry = cache.get(key)
    assert entry is not None
    return asyncio.run(PolicyPlans(LOOKS, ClusterNetwork(), IMAGES).look(key, entry))


def restore_plan(spec: dict[str, Any]) -> RestorePlan:
    cache, key = filled("Restore", "put-back", spec)
    entry = cache.get(key)
    assert entry is not None
    return asyncio.run(RestorePlans(LOOKS, cache, ClusterNetwork(), IMAGES).look(key, entry))


def bodies(made: PolicyPlan) -> list[dict[str, Any]]:
    found = [json.loads(each.body) for each in made.manifests]
    found += [dict(made.claim)] if made.claim is not None else []
    found.append(made.job("by-hand", Key("shop", "by-hand", "Backup"), "uid-of-by-hand"))
    return [*found, *removal(made)]


def removal(made: PolicyPlan) -> list[dict[str, Any]]:
    """What removes one of its Backups."""
    cache, key = filled("BackupPolicy", "nightly", made.spec.model_dump(mode="json", by_alias=True, exclude_none=True))
    files = Files.of(key, cache.get(key), PolicyPlans.place(key, cache.get(key)), names=("nightly-1",))
    plans = RemovalPlans(LOOKS, ClusterNetwork(), IMAGES)
    found = asyncio.run(plans.look(Key("shop", "nightly-1", "Backup"), "uid-of-nightly-1", files))
    return [found.job, *(json.loads(each.body) for each in found.children("uid-of-the-job"))]


def jobs(items: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The Jobs' specs, those of CronJobs too, by name."""
    specs = {each["metadata"]["name"]: each["spec"] for each in items if each["kind"] in ("CronJob", "Job")}
    return {name: spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec for name, spec in specs.items()}


def told(job: dict[str, Any]) -> AnyJob:
    """What a Job is told."""
    env = {each["name"]: each.get("value") for each in job["template"]["spec"]["containers"][0]["env"]}
    adapter: TypeAdapter[AnyJob] = TypeAdapter(AnyJob)
    return adapter.validate_json(str(env["APM_JOB"]))


def compared(case: str, items: list[dict[str, Any]]) -> None:
    text = yaml.safe_dump_all(items, sort_keys=True, width=110)
    file = GOLDEN / f"{case}.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(text)
    assert text == file.read_text()


@pytest.mark.parametrize("case", POLICIES)
def test_what_a_policy_becomes_is_as_in_the_golden_file(case: str):
    compared(case, bodies(plan(POLICIES[case])))


def test_what_a_restore_becomes_is_as_in_the_golden_file():
    made = restore_plan(RESTORE)
    compared("restore", [*(json.loads(each.body) for each in made.manifests), made.job])


@pytest.mark.parametrize("case", POLICIES)
def test_every_file_that_a_job_is_told_of_is_mounted(case: str):
    every = {**jobs(bodies(plan(POLICIES[case]))), **jobs([restore_plan(RESTORE).job])}
    for job in every.values():
        pod = job["template"]["spec"]
        at = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
        there = {
            f"{at[volume['name']]}/{item['path']}"
            for volume in pod["volumes"]
            for source in volume.get("projected", {}).get("sources", ())
            for item in source.get("secret", {}).get("items", ())
        }
        assert set(files(told(job).model_dump())) <= there


def files(value: Any, name: str = "") -> list[str]:
    if isinstance(value, dict):
        return [found for key, each in value.items() for found in files(each, key)]
    return [value] if name.endswith("_file") and value is not None else []


def test_a_volume_is_mounted_where_the_job_looks_for_its_folder():
    every = jobs(bodies(plan(POLICIES["backup-volume"])))
    assert set(every) == {"nightly", "by-hand", REMOVAL}
    for job in every.values():
        pod = job["template"]["spec"]
        mount = next(each for each in pod["containers"][0]["volumeMounts"] if each["name"] == "backups")
        assert told(job).storage.model_dump() == {"kind": "folder", "path": f"{mount['mountPath']}/a/b/shop/nightly"}
        assert {"name": "backups", "persistentVolumeClaim": {"claimName": "nightly-backups"}} in pod["volumes"]


def test_the_volume_outlives_its_policy():
    claim = plan(POLICIES["backup-volume"]).claim
    assert claim is not None
    assert "ownerReferences" not in claim["metadata"]


def test_a_test_that_comes_later_has_the_source_where_no_other_server_is_named():
    verification = {"schedule": "0 5 * * *"}
    made = plan({**POLICIES["backup-volume"], "verification": verification})
    found = jobs([json.loads(each.body) for each in made.manifests])
    later = told(found["nightly-verify"])
    assert isinstance(later, VerifyJob)
    assert later.restore_test is not None
    assert later.restore_test.target is not None
    assert later.restore_test.target.uri_file.endswith("/mongodb/uri")
    run = told(found["nightly"])
    assert isinstance(run, BackupJob)
    assert run.restore_test is None
    assert run.tested


def test_without_restore_test_the_schedule_of_verification_reads_only():
    verification = {"schedule": "0 5 * * *", "restoreTest": False}
    made = plan({**POLICIES["backup-volume"], "verification": verification})
    later = told(jobs([json.loads(each.body) for each in made.manifests])["nightly-verify"])
    assert isinstance(later, VerifyJob)
    assert later.restore_test is None


@pytest.mark.parametrize("name", ["n" * 45, "n" * 46, "n" * 52])
def test_names_of_cron_jobs_fit(name: str):
    verification = {"schedule": "0 5 * * *"}
    made = plan({**POLICIES["backup-volume"], "verification": verification}, name)
    names = {each.name for each in made.manifests if each.resource.kind == "CronJob"}
    assert len(names) == 2
    assert all(len(each) <= 52 for each in names)


def test_names_of_removals_fit_and_are_like_no_others():
    backup, policy = (Key("shop", "n" * 63, kind) for kind in ("Backup", "BackupPolicy"))
    names = {job_name(backup, "uid-1"), job_name(backup, "uid-2"), job_name(policy, "uid-3")}
    assert len(names) == 3
    assert all(len(name) <= 63 for name in names)


def test_the_jobs_may_touch_their_leases_alone():
    made = plan(POLICIES["backup-bucket"])
    role = next(json.loads(each.body) for each in made.manifests if each.resource.kind == "Role")
    assert [rule["resourceNames"] for rule in role["rules"]] == [list(made.leases)]
    assert {each.name for each in told(jobs(bodies(made))["by-hand"]).leases} == set(made.leases)


def test_the_program_can_tell_that_its_time_is_over():
    for job in jobs(bodies(plan(FULL))).values():
        assert told(job).deadline == 5400.0
        assert job["activeDeadlineSeconds"] > 5400


def test_what_a_killed_test_has_left_is_not_dumped():
    run = told(jobs(bodies(plan(POLICIES["backup-volume"])))["nightly"])
    assert isinstance(run, BackupJob)
    assert run.restore_test is not None
    selection = Selection(run.scope)
    assert Collection(f"{run.restore_test.scratch}_0", "threads") not in selection
    assert Collection("shop", "threads") in selection


def test_an_oplog_is_of_the_whole_server():
    run = told(jobs(bodies(plan({"source": {"mongodb": MONGODB, "oplog": True}, "storage": VOLUME})))["nightly"])
    assert isinstance(run, BackupJob)
    assert run.oplog
    assert not run.scope.model_dump(exclude_defaults=True)

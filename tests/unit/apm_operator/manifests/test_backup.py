"""Golden objects of backups: what one policy becomes. `UPDATE_GOLDEN=1 pytest ...` writes them anew."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from apm_operator.api.backuppolicy import BackupPolicySpec
from apm_operator.kinds import BACKUP_POLICIES, BACKUPS
from apm_operator.manifests import backup, backup_job, backup_networkpolicy
from apm_operator.manifests.backup import Work
from apm_operator.manifests.networkpolicy import Target
from apm_operator.queue import Key
from apm_operator.reconcile import backupspec

GOLDEN = Path(__file__).parent / "golden"
POLICY = Key("shop", "nightly", BACKUP_POLICIES.kind)
MONGODB = {"uriSecretRef": {"name": "apm-mongodb", "key": "uri"}}
VOLUME: dict[str, Any] = {"source": {"mongodb": MONGODB}, "storage": {"persistentVolumeClaim": {"claimName": "tapes"}}}
BUCKET: dict[str, Any] = {
    "source": {"mongodb": MONGODB, "oplog": True},
    "storage": {
        "s3": {
            "endpoint": "https://s3.example.com",
            "bucket": "backups",
            "credentialsSecretRef": {"name": "s3"},
            "serverSideEncryption": {"mode": "customer", "keySecretRef": {"name": "sse", "key": "key"}},
        }
    },
    "encryption": {"recipients": ["age1wh4687r367q4lrqrk92u8jymdwvky64v8h9vsn88ljm9t5cv7dcq7wxmqa"]},
    "job": {
        "image": "registry.example.com/backup:1",
        "imagePullSecrets": [{"name": "registry"}],
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "priorityClassName": "background",
        "timeout": "2h",
    },
    "network": {"egressTo": [{"cidr": "192.0.2.0/24", "ports": [443]}]},
}


def work(spec: BackupPolicySpec) -> Work:
    return Work(
        owner=POLICY,
        uid="uid-of-policy",
        template=spec.job,
        network=spec.network,
        image="apm-backup:0",
        pull_policy="IfNotPresent",
        claim=backupspec.claim_name(spec.storage, POLICY.name),
        mounted=backupspec.mounted(spec.storage, spec.encryption, spec.source.mongodb),
        leases=("apm-backup-db-0", "apm-backup-store-0"),
        targets=(Target((27017,), "shop", (("app", "mongodb"),)),),
        api_server=(("10.0.0.1/32", 6443),),
    )


def objects(spec: BackupPolicySpec) -> list[dict[str, Any]]:
    made, told = work(spec), backupspec.backup_job(spec, POLICY, ("apm-backup-db-0", "apm-backup-store-0"))
    when: dict[str, Any] = {"zone": spec.time_zone, "deadline": spec.starting_deadline_seconds, "suspend": spec.suspend}
    return [
        backup.service_account(made),
        backup.role(made),
        backup.role_binding(made),
        backup_networkpolicy.build(made),
        backup_job.cron_job(made, POLICY.name, told, schedule=spec.schedule, **when),
        backup_job.single(made, "now", told, (Key("shop", "now", BACKUPS.kind), "uid-of-backup")),
    ]


@pytest.mark.parametrize(("name", "spec"), [("backup-volume", VOLUME), ("backup-bucket", BUCKET)])
def test_golden(name: str, spec: dict[str, Any]):
    made = yaml.safe_dump_all(objects(BackupPolicySpec.model_validate(spec)), sort_keys=False, width=110)
    golden = GOLDEN / f"{name}.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(made)
    assert made == golden.read_text()


@pytest.mark.parametrize("spec", [VOLUME, BUCKET])
def test_pods_are_confined(spec: dict[str, Any]):
    job = objects(BackupPolicySpec.model_validate(spec))[-1]["spec"]
    pod = job["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert container["resources"]["limits"]["memory"] == "256Mi"
    assert (pod["automountServiceAccountToken"], pod["enableServiceLinks"]) == (False, False)
    assert container["terminationMessagePolicy"] == "File"
    assert job["activeDeadlineSeconds"] > 0
    assert all("valueFrom" in each or each["name"] == "APM_JOB" for each in container["env"])


def test_jobs_hold_their_leases_and_nothing_else():
    role = backup.role(work(BackupPolicySpec.model_validate(VOLUME)))
    assert role["rules"] == [
        {
            "apiGroups": ["coordination.k8s.io"],
            "resources": ["leases"],
            "resourceNames": ["apm-backup-db-0", "apm-backup-store-0"],
            "verbs": ["get", "patch", "update"],
        }
    ]

"""What each kind of Job does, put together from its parts."""

from __future__ import annotations

import secrets
from contextlib import closing
from pathlib import Path
from typing import Any

from apm_operator.backup import age, catalogue, restore
from apm_operator.backup.again import verify_again
from apm_operator.backup.errors import ConfigError
from apm_operator.backup.job import AnyJob, BackupJob, Job, PruneJob, RemoveJob, RestoreJob, VerifyJob
from apm_operator.backup.lease import hold
from apm_operator.backup.lease_api import Api
from apm_operator.backup.progress import on_leases
from apm_operator.backup.prune import TOLD, prune
from apm_operator.backup.prune import facts as store_facts
from apm_operator.backup.remove import remove
from apm_operator.backup.report import Report, StoreFacts, Tell, TestFacts
from apm_operator.backup.restore import Means
from apm_operator.backup.restoretest import restore_test
from apm_operator.backup.run import Backup, Stored
from apm_operator.backup.settings import Settings
from apm_operator.backup.storage.opening import open_storage


def execute(job: AnyJob, settings: Settings, tell: Tell) -> Report:
    """Do it.

    Raises:
        BackupError: it could not be done; the message says why.
    """
    if not job.leases:
        return _execute(job, settings, tell)
    api = Api(settings.namespace or job.namespace)
    holder = f"{settings.pod}-{secrets.token_hex(4)}"
    names = [each.name for each in job.leases]
    tell("Waiting", 0, 0, None)
    with closing(api), hold(names, api, holder, wait=job.wait) as held:
        told = on_leases(held, run=settings.backup_name or job.policy, pod=settings.pod, also=tell)
        return _execute(job, settings, told)


def _execute(job: AnyJob, settings: Settings, tell: Tell) -> Report:
    match job:
        case BackupJob():
            return _backup(job, settings, tell)
        case VerifyJob():
            return verify_again(job.names, job.restore_test, _means(job, settings, tell))
        case RestoreJob():
            return restore.report(job, _means(job, settings, tell))
        case PruneJob():
            tell("Pruning", 0, 0, None)
            found = prune(open_storage(job.storage), job.retention, tested=job.tested, dry_run=job.dry_run)
            what = "would go" if job.dry_run else "went"
            return _stored(f"{len(found.removals)} {what}; {found.facts.backups} backups are there", found.facts)
        case RemoveJob():
            tell("Pruning", 0, 0, None)
            storage = open_storage(job.storage)
            removed = remove(storage, job.names, job.kept)
            facts = store_facts(catalogue.read(storage), tested=False)
            removed_facts = facts.model_copy(update={"removed": removed[:TOLD]})
            return _stored(f"{len(removed)} backups were removed", removed_facts)


def _stored(message: str, facts: StoreFacts) -> Report:
    return Report(result="Succeeded", reason="Completed", message=message, store=facts)


def _backup(job: BackupJob, settings: Settings, tell: Tell) -> Report:
    if not settings.backup_name:
        raise ConfigError("APM_BACKUP_NAME is not set: a backup needs a name")
    storage = open_storage(job.storage)

    def test(stored: Stored, identities: list[Any] | None) -> TestFacts:
        assert job.restore_test is not None  # noqa: S101 - else it is not called
        means = Means(storage, identities, tell, settings.mongorestore)
        target = job.restore_test.target or job.source
        return restore_test(target, job.restore_test.scratch, stored.manifest, stored.sampled, means)

    def pruned() -> StoreFacts:
        assert job.retention is not None  # noqa: S101 - else it is not called
        return prune(storage, job.retention, tested=job.tested or job.restore_test is not None).facts

    return Backup(
        job=job,
        name=settings.backup_name,
        run_id=settings.run,
        storage=storage,
        tell=tell,
        test=test if job.restore_test else None,
        prune=pruned if job.retention else None,
        program=settings.mongodump,
    ).run()


def _means(job: Job, settings: Settings, tell: Tell) -> Means:
    file = job.age.identity_file if job.age else None
    keys = age.identities(Path(file)) if file else None
    return Means(open_storage(job.storage), keys, tell, settings.mongorestore)

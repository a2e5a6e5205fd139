"""What each kind of Job does, put together from its parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from apm_operator.backup import age, restore
from apm_operator.backup.again import verify_again
from apm_operator.backup.errors import ConfigError
from apm_operator.backup.job import AnyJob, BackupJob, Job, RestoreJob, VerifyJob
from apm_operator.backup.report import Report, TestFacts
from apm_operator.backup.restore import Means
from apm_operator.backup.restoretest import restore_test
from apm_operator.backup.run import Backup, Stored, Tell
from apm_operator.backup.settings import Settings
from apm_operator.backup.storage.opening import open_storage


def execute(job: AnyJob, settings: Settings, tell: Tell) -> Report:
    """Do it.

    Raises:
        BackupError: it could not be done; the message says why.
    """
    match job:
        case BackupJob():
            return _backup(job, settings, tell)
        case VerifyJob():
            return verify_again(job.names, job.restore_test, _means(job, settings, tell))
        case RestoreJob():
            return restore.report(job, _means(job, settings, tell))
        case _:
            raise ConfigError(f"{job.command} is not known to this version")


def _backup(job: BackupJob, settings: Settings, tell: Tell) -> Report:
    if not settings.backup_name:
        raise ConfigError("APM_BACKUP_NAME is not set: a backup needs a name")
    storage = open_storage(job.storage)

    def test(stored: Stored, identities: list[Any] | None) -> TestFacts:
        assert job.restore_test is not None  # noqa: S101 - else it is not called
        means = Means(storage, identities, tell, settings.mongorestore)
        target = job.restore_test.target or job.source
        return restore_test(target, job.restore_test.scratch, stored.manifest, stored.sampled, means)

    return Backup(
        job=job,
        name=settings.backup_name,
        storage=storage,
        tell=tell,
        test=test if job.restore_test else None,
        program=settings.mongodump,
    ).run()


def _means(job: Job, settings: Settings, tell: Tell) -> Means:
    file = job.age.identity_file if job.age else None
    keys = age.identities(Path(file)) if file else None
    return Means(open_storage(job.storage), keys, tell, settings.mongorestore)

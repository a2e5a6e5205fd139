"""What each kind of Job does, put together from its parts."""

from __future__ import annotations

from pathlib import Path

from apm_operator.backup.errors import ConfigError
from apm_operator.backup.job import AnyJob, BackupJob, FolderStorage, Job
from apm_operator.backup.report import Report
from apm_operator.backup.run import Backup, Tell
from apm_operator.backup.settings import Settings
from apm_operator.backup.storage.base import Storage
from apm_operator.backup.storage.folder import Folder


def execute(job: AnyJob, settings: Settings, tell: Tell) -> Report:
    """Do it.

    Raises:
        BackupError: it could not be done; the message says why.
    """
    if isinstance(job, BackupJob):
        return _backup(job, settings, tell)
    raise ConfigError(f"{job.command} is not known to this version")


def _backup(job: BackupJob, settings: Settings, tell: Tell) -> Report:
    if not settings.backup_name:
        raise ConfigError("APM_BACKUP_NAME is not set: a backup needs a name")
    return Backup(
        job=job, name=settings.backup_name, storage=_storage(job), tell=tell, program=settings.mongodump
    ).run()


def _storage(job: Job) -> Storage:
    if isinstance(job.storage, FolderStorage):
        return Folder(Path(job.storage.path))
    raise ConfigError("S3 is not known to this version")

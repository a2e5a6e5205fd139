"""Everything that a backup Job raises; the class decides the reason that the operator shows, and what the Job does.

BackupError
  +- ConfigError        the Job's configuration or command line is wrong
  +- SourceError        MongoDB can't be reached
  |    +- SourceRefused it answers, but refuses, or does not have what is to be dumped
  +- ToolFailed         mongodump or mongorestore ended with an error, or lied about its success
  |    +- DumpFailed    it was mongodump, which may have met a change of what it reads
  +- ToolKilled         mongorestore was killed: that says nothing of the backup
  +- StorageError       the storage refuses
  |    +- StorageAway   it can't be reached, or fails
  |    +- StorageFull
  |    +- Exists        something of that name is there already
  |    +- Missing       nothing of that name is there
  +- Damaged            stored bytes are not what was written
  +- KeyMissing         the backup is encrypted and none of the identities opens it
  +- LeaseLost          another Job may be at work on the same database or storage by now
  +- LeaseBusy          it was held by others for as long as this Job may wait
  +- TargetNotEmpty     a Restore without `mode: Replace` would have to overwrite
  +- Differs            what was restored is not what the manifest says
  +- Stopped            the pod is to end
  +- TimedOut           it has taken longer than it may
"""

from __future__ import annotations

from typing import ClassVar


class BackupError(Exception):
    """Base of all errors of this package; the message says what to do.

    Attributes:
        reason: CamelCase, for the operator.
        again: whether another pod of the Job may well succeed; how often that is tried, the Job says.
    """

    reason: ClassVar[str] = "Failed"
    again: bool = False


class ConfigError(BackupError):
    """The Job's configuration or command line is wrong."""

    reason = "ConfigInvalid"


class SourceError(BackupError):
    """MongoDB can't be reached."""

    reason = "SourceUnavailable"
    again = True


class SourceRefused(SourceError):
    """MongoDB answers, but refuses, or does not have what is to be dumped."""

    again = False


class ToolFailed(BackupError):
    """mongodump or mongorestore failed; the message holds the end of what it said, without secrets."""

    reason = "ToolFailed"


class DumpFailed(ToolFailed):
    """mongodump failed: a collection may have been dropped or renamed while it was read."""

    again = True


class ToolKilled(BackupError):
    """mongorestore was killed, most likely for want of memory."""

    reason = "ToolKilled"
    again = True


class StorageError(BackupError):
    """The storage refuses."""

    reason = "StorageUnavailable"


class StorageAway(StorageError):
    """The storage can't be reached, or fails."""

    again = True


class StorageFull(StorageError):
    """No space is left."""

    reason = "StorageFull"


class Exists(StorageError):
    """Something of that name is there already, and nothing is ever overwritten."""

    reason = "NameTaken"


class Missing(StorageError):
    """Nothing of that name is there."""

    reason = "BackupMissing"


class Damaged(BackupError):
    """Stored bytes are not what was written."""

    reason = "Damaged"


class KeyMissing(BackupError):
    """The backup is encrypted, and none of the identities at hand opens it."""

    reason = "KeyMissing"


class LeaseLost(BackupError):
    """Another Job may be at work on the same database or storage by now."""

    reason = "LeaseLost"
    again = True


class LeaseBusy(BackupError):
    """The Lease was held by others for as long as this Job may wait."""

    reason = "LeaseBusy"


class TargetNotEmpty(BackupError):
    """A Restore without `mode: Replace` would have to overwrite."""

    reason = "TargetNotEmpty"


class Differs(BackupError):
    """What was restored is not what the manifest says."""

    reason = "RestoreDiffers"


class Stopped(BackupError):
    """The pod is to end: its node is drained, or the Job was deleted."""

    reason = "Stopped"
    again = True


class TimedOut(BackupError):
    """The Job has taken longer than it may."""

    reason = "DeadlineExceeded"

"""What a verification or a restore test has found, kept beside the manifest."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from apm_operator.backup import layout
from apm_operator.backup.errors import BackupError, Damaged, Differs, ToolFailed
from apm_operator.backup.manifest import Verdict
from apm_operator.backup.report import TestFacts
from apm_operator.backup.storage.base import Storage

_AGAINST_IT = (Damaged, Differs, ToolFailed)
"""What speaks against the backup; a server that is away, or a Job that is stopped, does not."""


def judge(storage: Storage, name: str, look: Callable[[], TestFacts], *, restored: bool) -> TestFacts:
    """Have `look` look at a backup, and keep what it found; `restored` says whether it restores it for that.

    Raises:
        BackupError: it could not be looked at, and what is known of it stays what it was.
    """
    try:
        facts = look()
    except BackupError as error:
        if not isinstance(error, _AGAINST_IT):
            raise
        facts = TestFacts(
            name=name, at=datetime.now(UTC), restored=restored, good=False, reason=error.reason, message=str(error)
        )
    verdict = Verdict(
        name=name,
        at=facts.at,
        restored=facts.restored,
        good=facts.good,
        reason=facts.reason,
        message=facts.message,
    )
    storage.put(layout.verdict_key(name), verdict.to_json().encode(), replace=True)
    return facts

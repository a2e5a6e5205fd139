"""What a verification or a restore test has found, kept beside the manifest."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from pydantic import ValidationError

from apm_operator.backup import layout
from apm_operator.backup.errors import BackupError, Damaged, Differs, Missing, StorageError, ToolFailed
from apm_operator.backup.manifest import Verdict
from apm_operator.backup.report import TestFacts
from apm_operator.backup.storage.base import Storage

_AGAINST_IT = (Damaged, Differs, ToolFailed)
"""What keeps a backup from being good; a server that is away, or a Job that is stopped, does not."""


def judge(storage: Storage, name: str, look: Callable[[], TestFacts], *, restored: bool) -> TestFacts:
    """Have `look` look at a backup, and keep what it found; `restored` says whether it restores it for that.

    What a restore has shown outlives a look that only reads, and a test that its server let fail.

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
    if _stands(_before(storage, name), facts):
        return facts
    verdict = Verdict(
        name=name,
        at=facts.at,
        restored=facts.restored,
        good=facts.good,
        reason=facts.reason,
        message=facts.message,
    )
    try:
        storage.put(layout.verdict_key(name), verdict.to_json().encode(), replace=True)
    except StorageError as error:
        found = "good" if facts.good else f"bad: {facts.message}"
        raise type(error)(f"{name} was found {found}; but that can't be kept: {error}") from None
    return facts


def proves_nothing(verdict: Verdict) -> bool:
    """Whether a test has failed that may have failed by its server, such as one that is full: no reason to remove."""
    return not verdict.good and verdict.reason == ToolFailed.reason


def _before(storage: Storage, name: str) -> Verdict | None:
    try:
        return Verdict.model_validate_json(storage.get(layout.verdict_key(name)))
    except (Missing, Damaged, ValidationError):
        return None


def _stands(before: Verdict | None, facts: TestFacts) -> bool:
    """Whether what an earlier restore has shown is more than what was found now."""
    if before is None or not before.restored or before.reason == Damaged.reason:
        return False
    only_read = facts.good and not facts.restored
    return only_read or (before.good and facts.reason == ToolFailed.reason)

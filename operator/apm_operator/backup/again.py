"""Verifies backups that have lain in the storage for a while."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from apm_operator.backup import job
from apm_operator.backup.archive.reader import Reader
from apm_operator.backup.catalogue import newest_verified
from apm_operator.backup.errors import ConfigError
from apm_operator.backup.report import Report, TestFacts
from apm_operator.backup.restore import Means, identities
from apm_operator.backup.restoretest import restore_test
from apm_operator.backup.stored import read_manifest
from apm_operator.backup.verdict import judge
from apm_operator.backup.verify import check, pick, verify


def verify_again(names: Sequence[str], test: job.RestoreTest | None, means: Means) -> Report:
    """Read them to the last byte, and restore them for a test where one is given; the newest where none is named.

    Raises:
        BackupError: one of them could not be looked at.
    """
    if test is not None and test.target is None:
        raise ConfigError("the restore test needs a target: there is no source whose server it could use")
    facts = [_look(name, test, means) for name in names or (newest_verified(means.storage),)]
    bad = [each for each in facts if not each.good]
    if bad:
        message = "; ".join(f"{each.name}: {each.message}" for each in bad)
        return Report(result="Failed", reason=bad[0].reason, message=message, tests=tuple(facts))
    what = "restored for a test" if test else "read to the last byte"
    message = f"{', '.join(each.name for each in facts)}: {what}, and whole"
    return Report(result="Succeeded", reason="Completed", message=message, tests=tuple(facts))


def _look(name: str, test: job.RestoreTest | None, means: Means) -> TestFacts:
    def advanced(reader: Reader) -> None:
        means.tell("Verifying", reader.documents, reader.position, None)

    def look() -> TestFacts:
        manifest = read_manifest(means.storage, name)
        picks = pick(manifest.namespaces, test.sample if test else 0)
        keys = identities(means, manifest)
        with means.storage.read(manifest.data) as stored:
            found = verify(stored, identities=keys, picks=picks, advanced=advanced)
        check(found, manifest)
        if test is not None and test.target is not None:
            return restore_test(test.target, test.scratch, manifest, found.sampled, means)
        at = datetime.now(UTC)
        return TestFacts(name=name, at=at, restored=False, good=True, documents=manifest.documents)

    return judge(means.storage, name, look, restored=test is not None)

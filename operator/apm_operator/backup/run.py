"""A backup from its beginning to its verdict: nothing gets its name before it was read back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pyrage import x25519

from apm_operator.backup import age, layout
from apm_operator.backup.archive.reader import Sampled
from apm_operator.backup.dump import Dump, plan
from apm_operator.backup.errors import BackupError, Damaged, Exists, KeyMissing, Missing, SourceError, StorageError
from apm_operator.backup.job import BackupJob
from apm_operator.backup.manifest import Manifest
from apm_operator.backup.mongodump import Options
from apm_operator.backup.pipeline import Chunk, Written, write
from apm_operator.backup.report import BackupFacts, Report, StoreFacts, Tell, TestFacts
from apm_operator.backup.storage.base import Storage
from apm_operator.backup.stored import read_manifest
from apm_operator.backup.verdict import judge
from apm_operator.backup.verify import Verified, check, compare, pick, verify


@dataclass(frozen=True, slots=True)
class Stored:
    """A backup that lies in the storage, whole, and documents of it."""

    manifest: Manifest
    sampled: tuple[Sampled, ...]


Test = Callable[[Stored, list[Any] | None], TestFacts]
"""Restores it into scratch databases; with age's private keys where it is encrypted. Raises BackupError."""


@dataclass(frozen=True, slots=True)
class Backup:
    """What one backup is made with.

    Attributes:
        name: of the backup.
        run_id: unlike that of any other Job; the same for all pods of this one.
        test: the restore test, where there is one.
        prune: removes what is kept no longer, where that is asked for.
    """

    job: BackupJob
    name: str
    storage: Storage
    tell: Tell
    test: Test | None = None
    prune: Callable[[], StoreFacts] | None = None
    run_id: str = ""
    program: str = "mongodump"

    def run(self) -> Report:
        """Make it. A pod that comes after one that was killed goes on with what that one has finished.

        Raises:
            BackupError: there is no backup; nothing is left of it but what `prune` sweeps.
        """
        keys = _Keys.of(self.job)
        if self.prune is not None:
            # What killed Jobs have left may fill the storage, if only those that end well would sweep it.
            with suppress(StorageError):
                self.prune()
        stored = self._finished(keys) or self._make(keys)
        facts = _facts(stored.manifest)
        try:
            verdict = self._judge(stored, keys)
        except (SourceError, StorageError) as error:
            error.again = error.again and not keys.own  # another pod could not decrypt it
            raise
        tests = (verdict,) if self.test else ()
        if not verdict.good:
            return Report(result="Failed", reason=verdict.reason, message=verdict.message, backup=facts, tests=tests)
        message = f"{facts.documents} documents of {facts.collections} collections are stored and verified"
        store = None
        if self.prune is not None:
            self.tell("Pruning", 0, 0, None)
            try:
                store = self.prune()
            except StorageError as error:
                message += f"; what is too old could not be removed: {error}"
        return Report(result="Succeeded", reason="Completed", message=message, backup=facts, tests=tests, store=store)

    def _finished(self, keys: _Keys) -> Stored | None:
        """What an earlier pod of this Job has published."""
        try:
            manifest = read_manifest(self.storage, self.name)
        except Missing:
            return None
        if (manifest.namespace, manifest.policy, manifest.run) != (self.job.namespace, self.job.policy, self.run_id):
            raise Exists(
                f"a backup {self.name} of {manifest.namespace}/{manifest.policy}, of {manifest.started:%Y-%m-%d %H:%M}"
                ", lies in the storage already: choose another name, or another prefix where it is another cluster's "
                "(a Restore with spec.from.location gets at it)"
            )
        if manifest.encryption and not (self.job.age and self.job.age.identity_file):
            raise KeyMissing(
                f"{self.name} is stored, but the pod that made it ended before it was tested and took its key along: "
                "make another one, or name an identity in spec.encryption.identitySecretRef"
            )
        with self.storage.read(manifest.data) as file:
            found = self._verify(file, manifest.namespaces, keys.identities)
        check(found, manifest)
        return Stored(manifest, found.sampled)

    def _make(self, keys: _Keys) -> Stored:
        started = datetime.now(UTC)
        job, data = self.job, layout.data_key(self.name, encrypted=bool(keys.recipients))
        runs = plan(job.source, job.scope, oplog=job.oplog, read_preference=job.read_preference)
        options = Options(job.source, job.read_preference, oplog=job.oplog, program=self.program)
        dump = Dump(runs, job.scope, options)
        # Without a manifest they are what a killed pod, or a removal that was killed, has left. Where there are none,
        # credentials will do that may not remove anything.
        for left in {each.key for each in self.storage.list()} & {data, layout.verdict_key(self.name)}:
            self.storage.remove(left)
        with ExitStack() as undo:
            sink = self.storage.create(data)
            undo.callback(sink.abort)
            written = write(self._told(dump), sink, keys.recipients)
            sink.finish()
            with self.storage.read_pending(data) as file:
                found = self._verify(file, dump.namespaces, keys.identities)
            _compare(dump, written, found)
            manifest = self._manifest(started, dump, written, found, data)
            self._commit(manifest)
            undo.pop_all()
        return Stored(manifest, found.sampled)

    def _told(self, dump: Dump) -> Iterator[Chunk]:
        for chunk in dump.chunks():
            self.tell("Dumping", dump.documents, dump.size, None)
            yield chunk

    def _verify(self, file: Any, namespaces: Sequence[Any], identities: list[Any] | None) -> Verified:
        total = sum(each.documents for each in namespaces) or 1
        sample = self.job.restore_test.sample if self.job.restore_test else 0
        return verify(
            file,
            identities=identities,
            picks=pick(namespaces, sample),
            advanced=lambda it: self.tell("Verifying", it.documents, it.position, it.documents * 100 // total),
        )

    def _commit(self, manifest: Manifest) -> None:
        """Make what is stored a backup; what somebody else has put there meanwhile stays as it is."""
        key, text = layout.manifest_key(self.name), manifest.to_json().encode()
        try:
            self.storage.publish(manifest.data)
            self.storage.put(key, text)
            self._check_manifest(key, text)
        except (Exists, Missing):
            raise
        except BaseException:
            with suppress(BackupError):  # one without data must not stay, data without one go by themselves
                self.storage.remove(key)
                self.storage.remove(manifest.data)
            raise

    def _check_manifest(self, key: str, text: bytes) -> None:
        if self.storage.get(key) != text:
            raise Damaged("the storage does not hold the manifest that was written to it")

    def _manifest(self, started: datetime, dump: Dump, written: Written, found: Verified, data: str) -> Manifest:
        return Manifest(
            name=self.name,
            namespace=self.job.namespace,
            policy=self.job.policy,
            run=self.run_id,
            started=started,
            finished=datetime.now(UTC),
            server_version=found.prelude.server_version,
            tool_version=found.prelude.tool_version,
            oplog=self.job.oplog,
            scope=self.job.scope,
            data=data,
            size=written.size,
            sha256=written.sha256,
            archive_size=dump.size,
            encryption="age" if self.job.age and self.job.age.recipients else None,
            recipients=self.job.age.recipients if self.job.age else (),
            namespaces=found.namespaces,
        )

    def _judge(self, stored: Stored, keys: _Keys) -> TestFacts:
        def look() -> TestFacts:
            if self.test is not None:
                self.tell("Testing", 0, 0, None)
                return self.test(stored, keys.identities)
            return TestFacts(name=self.name, at=datetime.now(UTC), restored=False, good=True)

        return judge(self.storage, self.name, look, restored=self.test is not None)


@dataclass(frozen=True, slots=True)
class _Keys:
    """Keys of age for one run.

    Attributes:
        identities: None: nothing is encrypted.
        own: whether the private key was made for this run, and ends with it.
    """

    recipients: tuple[str, ...]
    identities: list[Any] | None
    own: bool = False

    @classmethod
    def of(cls, job: BackupJob) -> _Keys:
        """Without a private key one is made, so that what was written can be read back."""
        if job.age is None or not job.age.recipients:
            return cls((), None)
        if job.age.identity_file:
            return cls(job.age.recipients, age.identities(Path(job.age.identity_file)))
        own = x25519.Identity.generate()
        return cls((*job.age.recipients, str(own.to_public())), [own], own=True)


def _compare(dump: Dump, written: Written, found: Verified) -> None:
    if (found.size, found.sha256, found.archive_size) != (written.size, written.sha256, dump.size):
        raise Damaged("the storage does not hold what was written to it")
    compare(dump.namespaces, found.namespaces)


def _facts(manifest: Manifest) -> BackupFacts:
    return BackupFacts(
        name=manifest.name,
        started=manifest.started,
        finished=manifest.finished,
        size=manifest.size,
        archive_size=manifest.archive_size,
        documents=manifest.documents,
        collections=len(manifest.namespaces),
        sha256=manifest.sha256,
        encrypted=manifest.encryption is not None,
    )

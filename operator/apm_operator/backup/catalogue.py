"""What lies in a storage, by its manifests alone; one that is damaged is shown, and hides nothing else."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from apm_operator.backup import layout
from apm_operator.backup.errors import Damaged, Missing
from apm_operator.backup.manifest import Manifest, Verdict
from apm_operator.backup.storage.base import Storage, Stored
from apm_operator.backup.stored import read_manifest


@dataclass(frozen=True, slots=True)
class Facts:
    """What is kept of a manifest: those of all backups, with all their collections, would not fit the memory."""

    started: datetime
    finished: datetime
    documents: int
    encrypted: bool

    @classmethod
    def of(cls, manifest: Manifest) -> Facts:
        """Those of one manifest."""
        return cls(manifest.started, manifest.finished, manifest.documents, manifest.encryption is not None)


@dataclass(frozen=True, slots=True)
class Entry:
    """A backup that has a manifest.

    Attributes:
        modified: when the manifest was written, by the storage's clock.
        size: bytes of everything that lies under its name.
        keys: of everything but the manifest.
        manifest: None where it can't be read.
        verdict: the newest one; None also where it can't be read, which is a problem.
        reading: when a Restore has begun to read it, by the storage's clock; it may have died since.
        problem: why it can't be restored, as far as that shows without reading the data.
    """

    name: str
    modified: datetime
    size: int
    keys: tuple[str, ...]
    manifest: Facts | None = None
    verdict: Verdict | None = None
    reading: datetime | None = None
    problem: str = ""

    @property
    def good(self) -> bool:
        """Nothing speaks against it."""
        return not self.problem and (self.verdict is None or self.verdict.good)

    def verified(self, *, tested: bool) -> bool:
        """Whether it counts: with `tested` only once it has been restored for a test."""
        return self.good and (not tested or (self.verdict is not None and self.verdict.restored))


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What lies in a storage.

    Attributes:
        entries: oldest first.
        leftovers: of Jobs that were killed, or are at work right now; and what Restores that have ended left for
            their next pods.
    """

    entries: tuple[Entry, ...]
    leftovers: tuple[Stored, ...] = ()


def read(storage: Storage) -> Catalogue:
    """Read the manifests and verdicts; files of other kinds are none of its business."""
    by_name: dict[str, list[Stored]] = defaultdict(list)
    leftovers = []
    for each in storage.list():
        name = layout.owner(each.key)
        if each.pending and (name is not None or each.key.startswith(layout.CLOCK)):
            leftovers.append(each)
        elif name is not None:
            by_name[name].append(each)
    entries = []
    for name, stored in by_name.items():
        if any(each.key == layout.manifest_key(name) for each in stored):
            entries.append(_entry(storage, name, {each.key: each for each in stored}))
        else:
            leftovers.extend(stored)
    return Catalogue(tuple(sorted(entries, key=_order)), tuple(leftovers))


def newest_verified(storage: Storage) -> str:
    """Name of the newest backup that was found good; where none was looked at, of the newest that was written whole.

    Raises:
        Missing: there is none.
    """
    found = [(each.verdict is not None, *_order(each)) for each in read(storage).entries if each.good]
    if not found:
        raise Missing("the storage has no verified backup")
    return max(found)[-1]


def _order(entry: Entry) -> tuple[datetime, str]:
    return (entry.manifest.started if entry.manifest else entry.modified), entry.name


def _entry(storage: Storage, name: str, stored: dict[str, Stored]) -> Entry:
    manifest, verdict, problem = None, None, ""
    try:
        found = read_manifest(storage, name)
        manifest, data = Facts.of(found), stored.get(found.data)
        if data is None:
            problem = "its data are missing"
        elif data.size != found.size:
            problem = f"its data have {data.size} bytes instead of {found.size}"
    except (Damaged, Missing) as error:
        problem = str(error)
    if layout.verdict_key(name) in stored:
        try:
            verdict = Verdict.model_validate_json(storage.get(layout.verdict_key(name)))
        except Missing:
            pass
        except (Damaged, ValidationError):
            problem = problem or "the verdict on it is damaged: verify it again"
    reading = stored.get(layout.reading_key(name))
    return Entry(
        name=name,
        modified=stored[layout.manifest_key(name)].modified,
        size=sum(each.size for each in stored.values()),
        keys=tuple(key for key in stored if key != layout.manifest_key(name)),
        manifest=manifest,
        verdict=verdict,
        reading=reading.modified if reading else None,
        problem=problem,
    )

"""What the commands print: text for people, JSON where it is asked for; errors are one line and status 1."""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from apm_operator.backup import arguments, catalogue, job
from apm_operator.backup.base import Model
from apm_operator.backup.catalogue import Entry
from apm_operator.backup.errors import BackupError, ConfigError, StorageError
from apm_operator.backup.prune import prune
from apm_operator.backup.report import Report
from apm_operator.backup.storage.opening import below, open_storage

Execute = Callable[[job.AnyJob], Report]
DEPTH = 6
"""Folders below a location: those of the policy's own prefix, of a namespace, and of a policy."""


class Row(Model):
    """A backup as `catalogue --json` tells it; `verified` is None where nothing has looked since it was made."""

    path: str
    name: str
    finished: str | None
    size: int
    documents: int | None
    encrypted: bool | None
    verified: bool | None
    restored: bool | None
    problem: str = ""


def main(given: Sequence[str], execute: Execute) -> int:
    """Do what the command line says; `execute` does Jobs."""
    flags = arguments.parse(given)
    try:
        where = arguments.storage(flags)
        if isinstance(where, job.FolderStorage) and not Path(where.path).is_dir():
            raise ConfigError(f"there is no folder {where.path}")
        if flags.command == "catalogue":
            return _catalogue(flags, where)
        if flags.command == "prune":
            return _prune(flags, where)
        report = execute(arguments.work(flags, secrets.token_hex(8)))
    except BackupError as error:
        print(f"{error.reason}: {error}", file=sys.stderr)  # noqa: T201 - the command line's answer
        return 1
    print(f"{report.reason}: {report.message}")  # noqa: T201 - likewise
    return int(report.result != "Succeeded")


def _catalogue(flags: argparse.Namespace, where: job.Storage) -> int:
    rows = [_row(path, each) for path, each in _entries(where, DEPTH if flags.all else 0)]
    if not flags.json:
        print(LINE.format("PATH", "NAME", "FINISHED", "SIZE", "DOCUMENTS", "STATE"))  # noqa: T201 - likewise
    if not rows:
        where_else = "" if flags.all else "; --all looks into the folders below as well"
        print(f"there are no backups here{where_else}", file=sys.stderr)  # noqa: T201 - likewise
    for row in rows:
        print(row.to_json() if flags.json else _line(row))  # noqa: T201 - likewise
    return 0


def _entries(where: job.Storage, depth: int, path: str = "") -> Iterator[tuple[str, Entry]]:
    storage = open_storage(where)
    try:
        entries, folders = catalogue.read(storage).entries, tuple(storage.folders()) if depth else ()
    except StorageError as error:
        if not path:
            raise
        print(f"{path}: {error}", file=sys.stderr)  # noqa: T201 - such as lost+found of a volume: the others are shown
        return
    for each in entries:
        yield path, each
    for folder in folders:
        yield from _entries(below(where, folder), depth - 1, f"{path}{folder}/")


def _row(path: str, entry: Entry) -> Row:
    manifest, verdict = entry.manifest, entry.verdict
    return Row(
        path=path,
        name=entry.name,
        finished=manifest.finished.isoformat(timespec="seconds") if manifest else None,
        size=entry.size,
        documents=manifest.documents if manifest else None,
        encrypted=manifest.encrypted if manifest else None,
        verified=verdict.good if verdict else None,
        restored=verdict.restored if verdict else None,
        problem=entry.problem or (verdict.message or verdict.reason if verdict and not verdict.good else ""),
    )


LINE = "{:<24} {:<40} {:<25} {:>14} {:>12} {}"


def _line(row: Row) -> str:
    state = "written whole" if row.verified is None else "verified, restored" if row.restored else "verified"
    if row.verified is False:
        state = f"FAILED ITS TEST: {row.problem}"
    elif row.problem:
        state = f"DAMAGED: {row.problem}"
    documents = "?" if row.documents is None else row.documents
    return LINE.format(row.path or "./", row.name, row.finished or "?", row.size, documents, state)


def _prune(flags: argparse.Namespace, where: job.Storage) -> int:
    if flags.days < 0 or flags.minimum < 1:
        raise ConfigError("--days is 0 or more, and --minimum 1 or more")
    retention = job.Retention(days=flags.days, minimum=flags.minimum)
    done = prune(open_storage(where), retention, tested=flags.tested, dry_run=flags.dry_run)
    for each in done.removals:
        print(f"{'would remove' if flags.dry_run else 'removed'} {each.name}: {each.why}")  # noqa: T201 - likewise
    kept = done.facts.backups - (sum(isinstance(each.what, Entry) for each in done.removals) if flags.dry_run else 0)
    print(f"{kept} backups {'would stay' if flags.dry_run else 'stay'}")  # noqa: T201 - likewise
    return 0
